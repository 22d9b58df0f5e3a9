/** Errors as the aggregator answers them (RFC 9457), and other failures of a request. */
import type { Fault } from '../generated/Fault';
import type { Problem } from '../generated/Problem';

/** A request that did not succeed, with text that says what to do. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** HTTP status; 0 if no answer came. */
    readonly status: number,
    /** A stable code: a refusal's code, `bad_task`, `bad_request`, `internal`, `unreachable` or `unreadable`. */
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    /** The faults of a task, each with its path. */
    readonly faults: readonly Fault[] = [],
  ) {
    super(detail === '' ? title : `${title}: ${detail}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function faultsOf(value: unknown): Fault[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter(isRecord)
    .map((fault) => ({ path: text(fault['path']), message: text(fault['message']) }))
    .filter((fault) => fault.message !== '');
}

/** Reads an error answer of any kind: a problem document, other JSON, or a proxy's HTML. */
export function parseProblem(status: number, body: string): ApiError {
  let value: unknown = null;
  try {
    value = JSON.parse(body);
  } catch {
    // Handled below: not JSON.
  }
  if (isRecord(value) && typeof value['code'] === 'string') {
    const problem = value as Partial<Problem>;
    return new ApiError(status, text(problem.code), text(problem.title) || `Error ${status}`, text(problem.detail), faultsOf(problem.faults));
  }
  return new ApiError(
    status,
    'unreadable',
    `The server answered ${status}`,
    'The answer did not come from the aggregator; perhaps a proxy is in between. Try again in a moment.',
  );
}

/** The error for a request that got no answer at all. */
export function unreachable(): ApiError {
  return new ApiError(0, 'unreachable', 'The server does not answer', 'Check your connection, then try again.');
}

/** Any thrown thing as an error with text for people. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  return new ApiError(0, 'internal', 'Something went wrong in this page', thrown instanceof Error ? thrown.message : String(thrown));
}
