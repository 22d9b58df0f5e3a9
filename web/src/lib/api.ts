/** The part of the aggregator's HTTP interface that the pages use. The Worker makes a participant's requests. */
import type { CreateFederation } from '../generated/CreateFederation';
import type { CreateInvite } from '../generated/CreateInvite';
import type { FederationDetail } from '../generated/FederationDetail';
import type { FederationSummary } from '../generated/FederationSummary';
import type { Invite } from '../generated/Invite';
import type { InviteSummary } from '../generated/InviteSummary';
import { ApiError, parseProblem, unreachable } from './problem';

/** Milliseconds after which a request counts as unanswered. */
const TIMEOUT_MS = 20_000;

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw parseProblem(response.status, await response.text().catch(() => ''));
  return response;
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await request(path, init);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(response.status, 'unreadable', 'The answer cannot be read', 'The server answered something other than JSON. Is this address an aggregator’s?');
  }
}

const federation = (id: string): string => `/v1/federations/${encodeURIComponent(id)}`;

/** Where a federation's server-sent events are. */
export const eventsPath = (id: string): string => `${federation(id)}/events`;
/** Where the generator of the current θ is downloaded from. */
export const generatorPath = (id: string): string => `${federation(id)}/generator`;

/** Where the whole record is downloaded from. */
export const recordPath = (id: string): string => `${federation(id)}/record`;

/** The record's lines from number `from` on, counted from 0; of a long record only the first of them. */
export async function recordLines(id: string, from: number): Promise<string[]> {
  const text = await (await request(`${federation(id)}/record?from=${from}`)).text();
  return text.split('\n').filter((line) => line !== '');
}

export function listFederations(): Promise<FederationSummary[]> {
  return json('/v1/federations');
}

export function getFederation(id: string): Promise<FederationDetail> {
  return json(federation(id));
}

/** Requests that only the organiser may make. The token lives as long as this object. */
export class Organiser {
  constructor(private readonly token: string) {}

  private headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}` };
  }

  /** Throws an `ApiError` with code `unauthorized` if the token is wrong. */
  async check(): Promise<void> {
    await request('/v1/admin/check', { headers: this.headers() });
  }

  private post<T>(path: string, body: unknown): Promise<T> {
    const headers = { ...this.headers(), 'content-type': 'application/json' };
    return json(path, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  create(body: CreateFederation): Promise<Invite> {
    return this.post('/v1/federations', body);
  }

  invite(id: string, wish: CreateInvite): Promise<Invite> {
    return this.post(`${federation(id)}/invites`, wish);
  }

  invites(id: string): Promise<InviteSummary[]> {
    return json(`${federation(id)}/invites`, { headers: this.headers() });
  }

  revoke(id: string, invite: string): Promise<InviteSummary> {
    return json(`${federation(id)}/invites/${encodeURIComponent(invite)}`, { method: 'DELETE', headers: this.headers() });
  }

  close(id: string): Promise<FederationSummary> {
    return json(`${federation(id)}/close`, { method: 'POST', headers: this.headers() });
  }
}
