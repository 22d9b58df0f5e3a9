/** How much the first load of the pages takes, as the network sees it. */
import type { Browser, Request } from '@playwright/test';
import { JoinPage } from '../pages/join.ts';
import { ALONE, type House } from './house.ts';

/** Bytes of an answer's head and body as they came over the wire: Chromium's `encodedDataLength`, which is 0 of what its cache had. */
export async function bytesOf(request: Request): Promise<number> {
  const { responseBodySize, responseHeadersSize } = await request.sizes();
  return responseBodySize + responseHeadersSize;
}

/** Bytes of headers and bodies, as they were sent, of everything that the aggregator answered while `open` ran in an empty browser. */
async function received(browser: Browser, house: House, open: (page: JoinPage) => Promise<void>): Promise<number> {
  const context = await browser.newContext();
  const sizes: Promise<number>[] = [];
  context.on('requestfinished', (request) => {
    if (request.url().startsWith(house.aggregator)) sizes.push(bytesOf(request));
  });
  await open(new JoinPage(await context.newPage()));
  const bytes = await Promise.all(sizes);
  await context.close();
  return bytes.reduce((sum, each) => sum + each, 0);
}

/** The bytes that the heavier of the first page loads takes: the start page, the organiser's, and an invite link until data can be chosen. */
export async function firstLoad(browser: Browser, house: House): Promise<number> {
  const federation = await house.federation(ALONE);
  const loads = [];
  for (const path of ['/', '/organiser']) {
    loads.push(await received(browser, house, async ({ page }) => void (await page.goto(house.aggregator + path, { waitUntil: 'load' }))));
  }
  loads.push(
    await received(browser, house, async (join) => {
      // The module is fetched by a Worker, after the page itself.
      const module = join.page.waitForEvent('requestfinished', (request) => request.url().endsWith('.wasm'));
      await join.open(federation.link);
      await module;
    }),
  );
  return Math.max(...loads);
}
