/**
 * The model's files: fetched once, then kept in the browser's cache under their hash, so that neither a reload
 * nor another federation with the same model needs the network.
 */
import type { Trouble } from '../worker/protocol';
import type { ModelFile } from './protocol';
import { FetchError, notKept, Unusable } from './trouble';

const CACHE = 'fed-bbpt-models';

/** The parts of the browser that are used. */
export interface Browser {
  fetch: (url: string, signal: AbortSignal) => Promise<Response>;
  /** Undefined where pages may not keep anything, as on plain http. */
  open: () => Promise<Cache | undefined>;
}

export const BROWSER: Browser = {
  fetch: (url, signal) => fetch(url, { credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer', signal }),
  open: async () => (typeof caches === 'undefined' ? undefined : caches.open(CACHE)),
};

/** Cache keys must be addresses; nothing is ever requested from this one. */
function key({ sha256 }: ModelFile): string {
  return new URL(`/fed-bbpt-models/${sha256}`, self.location.origin).href;
}

export interface Fetched {
  blob: Blob;
  /** From the cache. */
  kept: boolean;
}

type Start = (fetched: readonly Fetched[]) => Promise<void>;
type Progress = (done: number, total: number) => void;

export class ModelFiles {
  constructor(
    private readonly base: string,
    private readonly files: ModelFile[],
    private readonly browser: Browser = BROWSER,
  ) {}

  /** All files in order. `progress` gets the bytes fetched so far and the bytes in all, 0 if the total is not known yet. */
  async get(progress: Progress, signal: AbortSignal): Promise<Fetched[]> {
    const cache = await this.cache();
    const found = await Promise.all(this.files.map((file) => cache?.match(key(file)).catch(() => undefined)));
    const [done, totals] = [new Map<ModelFile, number>(), new Map<ModelFile, number>()];
    const missing = this.files.filter((_, at) => found[at] === undefined);
    const tell = (): void => {
      const sum = (map: Map<ModelFile, number>): number => [...map.values()].reduce((a, b) => a + b, 0);
      const known = missing.every((file) => (totals.get(file) ?? 0) > 0);
      progress(sum(done), known ? sum(totals) : 0);
    };
    return Promise.all(
      this.files.map(async (file, at) => {
        const kept = await found[at]?.blob();
        if (kept !== undefined) return { blob: kept, kept: true };
        const blob = await this.fetch(file, signal, (bytes, total) => {
          done.set(file, bytes);
          totals.set(file, total);
          tell();
        });
        return { blob, kept: false };
      }),
    );
  }

  /** Fetches all files, passes them to `start`, and keeps them once it has succeeded; failing to keep them is only reported. */
  async into(start: Start, progress: Progress, pity: (trouble: Trouble) => void, signal: AbortSignal): Promise<Fetched[]> {
    const fetched = await this.started(start, progress, signal);
    if (!signal.aborted && fetched.some(({ kept }) => !kept) && !(await this.keep(fetched))) pity(notKept());
    return fetched;
  }

  /** Tries the kept files first; if they are broken, fetches them again. */
  private async started(start: Start, progress: Progress, signal: AbortSignal): Promise<Fetched[]> {
    const fetched = await this.get(progress, signal);
    try {
      await start(fetched);
      return fetched;
    } catch (error) {
      // These files have just been fetched, so fetching again would not help.
      if (!(error instanceof Unusable && error.code === 'model_hash' && fetched.some(({ kept }) => kept))) throw error;
    }
    await this.forget();
    const anew = await this.get(progress, signal);
    await start(anew);
    return anew;
  }

  /** Keeps files that were fetched and checked. False if the browser has no room, or keeps nothing. */
  async keep(fetched: readonly Fetched[]): Promise<boolean> {
    try {
      const cache = await this.browser.open();
      if (cache === undefined) return false;
      for (const [at, file] of this.files.entries()) {
        const one = fetched[at];
        if (one !== undefined && !one.kept) await cache.put(key(file), new Response(one.blob));
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Forgets the files. */
  async forget(): Promise<void> {
    const cache = await this.cache();
    await Promise.all(this.files.map((file) => cache?.delete(key(file))));
  }

  /** The cache, or undefined if it cannot be opened. */
  private async cache(): Promise<Cache | undefined> {
    return this.browser.open().catch(() => undefined);
  }

  private async fetch(file: ModelFile, signal: AbortSignal, progress: (done: number, total: number) => void): Promise<Blob> {
    const url = `${this.base}/${file.address}`;
    let status = 0;
    try {
      const answer = await this.browser.fetch(url, signal);
      status = answer.status;
      if (answer.ok && answer.body !== null) {
        // For a compressed answer, the stated length is not that of the bytes that arrive.
        const total = answer.headers.has('content-encoding') ? 0 : Number(answer.headers.get('content-length') ?? 0);
        return await collect(answer.body, (done) => progress(done, total));
      }
    } catch {
      status = 0;
    }
    throw new FetchError(status === 0 ? 'model_fetch' : 'model_status', url, status);
  }
}

async function collect(body: ReadableStream<Uint8Array<ArrayBuffer>>, progress: (done: number) => void): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const reader = body.getReader();
  for (let done = 0; ; ) {
    const { value, done: ended } = await reader.read();
    if (ended) return new Blob(parts);
    parts.push(value);
    done += value.length;
    progress(done);
  }
}
