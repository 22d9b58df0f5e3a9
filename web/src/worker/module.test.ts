import { afterEach, describe, expect, it, vi } from 'vitest';

// The wasm itself is not needed to ask the aggregator.
vi.mock('../../wasm/client_wasm', () => ({ default: () => Promise.resolve() }));
const { announced } = await import('./module');

const open = { type: 'open', aggregator: 'https://host//', federation: 'a b' } as Parameters<typeof announced>[0];

describe('what the aggregator announces', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('is fetched from the federation’s address, as the module would', async () => {
    const asked: unknown[] = [];
    vi.stubGlobal('fetch', (url: string, options: RequestInit) => {
      asked.push(url, options.credentials, options.cache);
      return Promise.resolve(new Response('{"task":{}}'));
    });
    expect(await announced(open)).toBe('{"task":{}}');
    expect(asked).toEqual(['https://host/v1/federations/a%20b', 'omit', 'no-store']);
  });

  it('is left to the module where it is a refusal, or nothing', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('{"code":"not_found"}', { status: 404 })));
    expect(await announced(open)).toBeUndefined();
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    expect(await announced(open)).toBeUndefined();
  });
});
