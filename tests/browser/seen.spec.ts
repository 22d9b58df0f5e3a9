/** What the pages show of a secure sum: to a participant what the server received from it, to everyone what the server has. */
import { createHash } from 'node:crypto';
import type { Locator } from '@playwright/test';
import { JoinPage } from './pages/join.ts';
import { ALONE } from './support/house.ts';
import { kindOf, Record, secure } from './support/sums.ts';
import { errorsOf, expect, test } from './support/test.ts';

/** The numbers of a picture as shares of its largest: the colour is the sign, the opacity the size. */
async function numbers(figure: Locator): Promise<number[]> {
  return figure.locator('canvas').evaluate((canvas) => {
    const { width, height } = canvas as HTMLCanvasElement;
    const data = (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
    return Array.from({ length: width * height }, (_, i) => (((data[4 * i] ?? 0) > (data[4 * i + 2] ?? 0) ? -1 : 1) * (data[4 * i + 3] ?? 0)) / 255);
  });
}

/** Numbers as a picture shows them. */
function scaled(all: readonly number[]): number[] {
  const largest = Math.max(...all.map(Math.abs));
  return all.map((x) => x / largest);
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (x: readonly number[]): number => x.reduce((sum, v) => sum + v, 0) / x.length;
  const [ma, mb] = [mean(a), mean(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number): number => x.reduce((sum, v, i) => sum + (v - mx) * ((y[i] ?? 0) - my), 0);
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}

/** The same numbers in any order, as far as eight bits of opacity tell. A picture's last row may end with empty places. */
function expectSame(seen: readonly number[], expected: readonly number[], what: string): void {
  const sorted = (all: readonly number[]): number[] => [...all].sort((a, b) => a - b);
  const [shown, wanted] = [sorted(seen.slice(0, expected.length)), sorted(expected)];
  const worst = Math.max(...wanted.map((x, i) => Math.abs(x - (shown[i] ?? NaN))));
  expect(worst, what).toBeLessThan(0.02);
}

test('a tab shows what the server received from it, noise, beside what it was and the sum; the dashboard shows what the server has', async ({ house, browser }, info) => {
  test.setTimeout(240_000);
  const federation = await house.federation(secure(3));
  const all = await Promise.all(
    [0, 1, 2].map(async (owner) => {
      const context = await browser.newContext(owner === 0 ? { viewport: { width: 360, height: 740 }, hasTouch: true } : {});
      const page = await context.newPage();
      return { context, join: new JoinPage(page), errors: errorsOf(page) };
    }),
  );
  const [{ join }] = all as [(typeof all)[number]];
  const bodies: Buffer[] = [];
  join.page.on('request', (request) => {
    const body = kindOf(request) === 'masked' ? request.postDataBuffer() : null;
    if (body !== null) bodies.push(body);
  });
  await Promise.all(all.map(async (tab, owner) => tab.join.takePart(federation.link, owner + 1, 60)));
  const seen = join.id('seen');
  await expect(seen).toHaveAttribute('data-state', 'ended', { timeout: 120_000 });

  const [entry] = (await Record.of(house.aggregator, federation.id)).rounds;
  const group = entry?.sums?.secure.groups[0];
  if (entry === undefined || group === undefined) throw new Error('nothing was summed');
  const packed = Buffer.from(group.sum, 'base64');
  // After the update come seven counters of eight bytes.
  const length = packed.length / 8 - 7;
  const sum = Array.from({ length }, (_, i) => Number(packed.readBigInt64LE(8 * i)));
  expect(length, 'all of the update is shown').toBeLessThanOrEqual(1024);

  await test.step('the picture of what the server received is what was sent, and noise', async () => {
    const [body] = bodies;
    if (body === undefined) throw new Error('nothing was sent');
    // A version, the message's number, the senders' hash, the length (seven bits a byte); at the end a signature.
    let start = 34;
    while ((body[start] ?? 0) >= 0x80) start += 1;
    const vector = body.subarray(start + 1, body.length - 64);
    const contributors = entry.cohort?.contributors as { participant: number; vector: string }[];
    const hash = createHash('sha256').update(vector).digest('hex');
    expect(contributors.map((one) => one.vector)).toContain(hash);
    const width = (vector.length - 56) / length;
    expect([4, 8]).toContain(width);
    const sent = Array.from({ length }, (_, i) => (width === 4 ? vector.readInt32LE(4 * i) : Number(vector.readBigInt64LE(8 * i))));
    expectSame(await numbers(join.id('seen-masked')), scaled(sent), 'the masked numbers');
    // Uniform in the whole ring: the mean of the absolute value is half of the largest possible one.
    const spread = 5 / Math.sqrt(12 * length);
    const mean = sent.reduce((all, x) => all + Math.abs(x), 0) / length / 2 ** (8 * width - 1);
    expect(Math.abs(mean - 0.5)).toBeLessThan(spread);
    const update = (await numbers(join.id('seen-update'))).slice(0, length);
    expect(update.filter((x) => x !== 0).length, 'the update is shown').toBeGreaterThan(length / 4);
    expect(update).toEqual([...update].sort((a, b) => a - b));
    const [noise, opened] = await Promise.all(['seen-masked', 'seen-sum'].map(async (id) => (await numbers(join.id(id))).slice(0, length)));
    if (noise === undefined || opened === undefined) throw new Error('no pictures');
    for (const other of [update, opened]) expect(Math.abs(correlation(noise, other))).toBeLessThan(5 / Math.sqrt(length));
    // The update itself is seen in the sum of three: the same measure tells where there is something to see.
    expect(correlation(update, opened)).toBeGreaterThan(5 / Math.sqrt(length));
  });

  await test.step('the sum is the record’s, with everyone in it, and all is checked', async () => {
    expectSame(await numbers(join.id('seen-sum')), scaled(sum), 'the sum');
    await expect(join.id('seen-members').locator('li')).toHaveCount(3);
    await expect(join.id('seen-members').locator('.you')).toHaveCount(1);
    const states = await join.id('seen-checks').locator('li').evaluateAll((items) => items.map((item) => item.getAttribute('data-state')));
    expect(states).toEqual(['yes', 'yes', 'yes']);
    await expect(join.id('seen-checks')).toContainText('At least 3 of 3 participants');
  });

  await test.step('nothing sticks out at phone width', async () => {
    for (const { join } of all) expect(await join.page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)).toBe(false);
    await info.attach('seen, phone', { body: await seen.screenshot(), contentType: 'image/png' });
    await info.attach('seen', { body: await (all[1]?.join.id('seen') ?? seen).screenshot(), contentType: 'image/png' });
  });

  await test.step('the dashboard shows the hashes of the record and the same sum, and what is hidden', async () => {
    const page = await join.page.context().newPage();
    await page.goto(`${house.aggregator}/?f=${federation.id}#server-view`);
    const rows = page.getByTestId('server-has').locator('tbody tr');
    await expect(rows).toHaveCount(3);
    const hashes = await rows.locator('code').evaluateAll((cells) => cells.map((cell) => cell.getAttribute('title')));
    expect(hashes).toEqual((entry.cohort?.contributors as unknown as { vector: string }[]).map((one) => one.vector));
    expectSame(await numbers(page.getByTestId('server-sum')), scaled(sum), 'the sum on the dashboard');
    await expect(page.getByTestId('server-cannot-see')).toContainText('API key');
    // Linked to, it is in view.
    await expect(page.getByTestId('server-view')).toBeInViewport();
    expect(await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)).toBe(false);
    await info.attach('the organiser’s view, phone', { body: await page.getByTestId('server-view').screenshot(), contentType: 'image/png' });
  });
  expect(all.flatMap(({ errors }) => errors)).toEqual([]);
  await Promise.all(all.map(({ context }) => context.close()));
});

test('without secure sums both pages say that the server sees each change itself', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  await join.takePart(federation.link, 1, 60);
  await join.above('delivered', 0);
  await expect(join.id('seen-plain')).toContainText('It sees your change itself');
  await expect(join.id('seen-masked')).toHaveCount(0);
  await page.goto(`${house.aggregator}/?f=${federation.id}`);
  await expect(page.getByTestId('server-sees-all')).toBeVisible();
});
