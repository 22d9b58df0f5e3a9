/**
 * The wasm module, and the aggregator's answer about the federation. Both are fetched as soon as the Worker runs and knows
 * the federation, at the same time.
 */
import init from '../../wasm/client_wasm';
import type { ToWorker } from './protocol';

/** The instantiated module. It is on its way before the page says what to open. */
export const loaded = init();
// Code that awaits it gets the error; until then it is not reported.
loaded.catch(() => undefined);

const LIMIT_MS = 20_000;

/**
 * The aggregator's answer about the federation, asked for once. Nothing if there is none, or it is no: the module asks
 * again, for as long as it takes, and says in words what is in the way.
 */
export async function announced({ aggregator, federation }: ToWorker & { type: 'open' }): Promise<string | undefined> {
  const url = `${aggregator.replace(/\/+$/, '')}/v1/federations/${encodeURIComponent(federation)}`;
  try {
    const answer = await fetch(url, { credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(LIMIT_MS) });
    return answer.ok ? await answer.text() : undefined;
  } catch {
    return undefined;
  }
}
