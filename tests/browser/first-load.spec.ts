/** Files are fetched at the same time, once, and kept. */
import type { Request } from '@playwright/test';
import { ALONE } from './support/house.ts';
import { bytesOf } from './support/load.ts';
import { expect, test } from './support/test.ts';

test('the Worker’s script and the module are asked for with the page’s script, come compressed, and only once', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  const finished: Request[] = [];
  page.context().on('requestfinished', (request) => finished.push(request));
  const named = (pattern: RegExp) => finished.filter((request) => pattern.test(request.url()));
  await join.open(federation.link);
  const script = named(/\/join-[^/]*\.js$/)[0];
  if (script === undefined) throw new Error('the page has no script');
  const scriptCame = script.timing().startTime + script.timing().responseEnd;
  for (const pattern of [/\/worker-[^/]*\.js$/, /\.wasm$/]) {
    const requests = named(pattern);
    const asked = Math.min(...requests.map((request) => request.timing().startTime));
    expect(asked, `${pattern.source} is not found by running the page's script`).toBeLessThan(scriptCame);
    const sent = await Promise.all(requests.map(bytesOf));
    expect(sent.filter((bytes) => bytes > 0), `${pattern.source} is sent once`).toHaveLength(1);
    const encodings = await Promise.all(requests.map(async (request) => (await request.response())?.headers()['content-encoding']));
    expect(new Set(encodings)).toEqual(new Set(['br']));
  }
});

test('a second visit fetches no file again', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  const sizes: Promise<[string, number]>[] = [];
  page.context().on('requestfinished', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.includes('/assets/') || pathname === `/f/${federation.id}/`) sizes.push(bytesOf(request).then((bytes) => [pathname, bytes]));
  });
  await page.goto('about:blank');
  await join.open(federation.link);
  const fetched = await Promise.all(sizes);
  const assets = fetched.filter(([path]) => path.includes('/assets/'));
  expect(assets.length).toBeGreaterThan(3);
  expect(assets.filter(([, bytes]) => bytes > 0)).toEqual([]);
  // The page itself is asked for, and has not changed: a head without a body.
  const [, bytes] = fetched.find(([path]) => path.endsWith('/')) ?? [];
  expect(bytes).toBeLessThan(2_000);
});
