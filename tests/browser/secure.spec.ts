/** Federations whose organiser sees only sums. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Browser, BrowserContext, Page, Route } from '@playwright/test';
import { JoinPage } from './pages/join.ts';
import { FED_BBPT } from './support/paths.ts';
import { counters, kindOf, KINDS, onSums, Record, secure, type Kind } from './support/sums.ts';
import { errorsOf, expect, test } from './support/test.ts';

const run = promisify(execFile);

const PICTURES = 60;

/** Everything that a test opened for one owner. */
interface Tab {
  context: BrowserContext;
  join: JoinPage;
  errors: string[];
}

/** A browser of one's own for each owner: different people share no storage. */
async function tabs(browser: Browser, count: number, phone = -1): Promise<Tab[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, owner) => {
      const context = await browser.newContext(owner === phone ? { viewport: { width: 360, height: 740 }, hasTouch: true } : {});
      const page = await context.newPage();
      return { context, join: new JoinPage(page), errors: errorsOf(page) };
    }),
  );
}

/** Resolves when the page has sent its message of this kind and the answer has come. */
function taken(page: Page, kind: Kind): Promise<unknown> {
  return page.waitForResponse((response) => kindOf(response.request()) === kind && response.ok(), { timeout: 120_000 });
}

/** How many pictures one tab holds to learn from and to measure with, and how many of these are right now. */
async function shown(join: JoinPage): Promise<{ examples: number; correct: number; total: number }> {
  const titles = await join.page.locator('#data-report .counts li').evaluateAll((items) => items.map((item) => item.getAttribute('title') ?? ''));
  const numbers = titles.map((title) => /^(\d+) to learn from, (\d+) to measure with$/.exec(title)?.slice(1).map(Number) ?? [NaN, NaN]);
  const sum = (place: number): number => numbers.reduce((all, each) => all + (each[place] ?? NaN), 0);
  const total = sum(1);
  return { examples: sum(0), total, correct: Math.round(total * (await join.value('accuracy-now'))) };
}

/** A record whose first sum has another sign in each of its numbers: another size alone may lead to the same θ. */
function altered(record: string): string {
  return record.replace(/"sum":"([^"]+)"/, (_, packed: string) => {
    const numbers = Buffer.from(packed, 'base64');
    for (let at = 0; at + 8 <= numbers.length; at += 8) numbers.writeBigInt64LE(-numbers.readBigInt64LE(at), at);
    return `"sum":"${numbers.toString('base64')}"`;
  });
}

async function overflows(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}

test('seven tabs make a sum; two vanish within it, one is in the background; the sum is that of the others', async ({ house, browser }, info) => {
  test.setTimeout(300_000);
  // Two thirds must still be there at the end: of seven, five.
  const federation = await house.federation(secure(7));
  const all = await tabs(browser, 7, 0);
  const [stays, before, after, hidden, ...others] = all.map(({ join }) => join) as [JoinPage, JoinPage, JoinPage, JoinPage, ...JoinPage[]];
  const remain = [stays, hidden, ...others];

  // Its masked update is about to leave, and stays where it is.
  let atTheDoor = (): void => undefined;
  const held = new Promise<void>((resolve) => (atTheDoor = resolve));
  const door: Route[] = [];
  await onSums(before.page, async (kind, route) => {
    if (kind === 'masked') {
      door.push(route);
      atTheDoor();
    } else await route.continue();
  });
  await hidden.page.addInitScript(() => {
    // Headless Chromium shows every tab; to the page, this one is in the background from the start.
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
    Object.defineProperty(document, 'hidden', { get: () => true });
  });

  await test.step('the page says beforehand what the organiser learns', async () => {
    await stays.open(federation.link);
    await expect(stays.id('organiser-learns')).toContainText('only the sum over at least 5 people');
    expect(await overflows(stays.page)).toBe(false);
  });
  const isTaken = taken(after.page, 'masked');
  await Promise.all(all.map(async ({ join }, owner) => join.takePart(federation.link, owner + 1, PICTURES)));

  await test.step('one closes before its masked update was taken, one after', async () => {
    await Promise.all([held, isTaken]);
    await expect(stays.running('round-phase')).toContainText('hidden changes have arrived');
    expect(await overflows(stays.page)).toBe(false);
    await info.attach('in the middle of a sum', { body: await stays.page.screenshot({ fullPage: true }), contentType: 'image/png' });
  });
  const contributors = [stays, after, hidden, ...others];
  const parts = await Promise.all(contributors.map(shown));
  // A browser lets go of what it holds when its page closes: not of what has failed.
  await Promise.all(door.map((route) => route.abort()));
  await before.page.close();
  await after.page.close();

  await test.step('the round ends well for those who remain', async () => {
    for (const join of remain) await expect(join.id('finished')).toContainText('All rounds are complete', { timeout: 120_000 });
    const detail = await house.detail(federation.id);
    expect(detail.summary).toMatchObject({ status: 'finished', step: 1, participants: 7 });
    expect(detail.rounds).toHaveLength(1);
    expect(detail.rounds[0]).toMatchObject({ phase: 'done', cohort: 7 });
  });

  await test.step('what was summed is about what the six tabs had on their screens: nobody reports exact counts', async () => {
    const record = await Record.of(house.aggregator, federation.id);
    const [entry] = record.rounds;
    if (entry === undefined) throw new Error('the record has no round');
    expect(entry.cohort?.senders).toHaveLength(7);
    expect(entry.cohort?.contributors).toHaveLength(6);
    const sum = (key: 'examples' | 'correct' | 'total'): number => parts.reduce((n, part) => n + part[key], 0);
    expect(sum('examples')).toBeGreaterThan(0);
    const told = counters(entry);
    // Each number is a power of two next to what it stands for, and right answers are a share of it.
    for (const key of ['examples', 'total'] as const) {
      expect(told[key]).toBeGreaterThanOrEqual(sum(key) / 2);
      expect(told[key]).toBeLessThanOrEqual(2 * sum(key));
    }
    expect(Math.abs(told.correct / told.total - sum('correct') / sum('total'))).toBeLessThan(0.2);
    expect((await house.detail(federation.id)).rounds[0]?.metrics).toMatchObject({ correct: told.correct, total: told.total });
  });

  await test.step('all see the same record, and it can be checked from the download alone', async () => {
    const record = await Record.of(house.aggregator, federation.id);
    for (const join of remain) {
      await expect(join.running('record-lines')).toHaveAttribute('data-value', '2');
      await expect(join.running('record-fingerprint')).toHaveAttribute('data-value', record.head);
      await expect(join.running('record-fingerprint')).toHaveText((record.head.slice(0, 16).match(/.{4}/g) ?? []).join(' '));
    }
    const download = stays.page.waitForEvent('download');
    await stays.running('download-record').click();
    const file = await (await download).path();
    expect(await readFile(file, 'utf8')).toBe(record.text);
    await run(FED_BBPT, ['audit', file]);
    const changed = info.outputPath('changed.jsonl');
    await writeFile(changed, altered(record.text));
    await expect(run(FED_BBPT, ['audit', changed])).rejects.toMatchObject({ code: 1 });
    expect(await overflows(stays.page)).toBe(false);
    await info.attach('the end at phone width', { body: await stays.page.screenshot({ fullPage: true }), contentType: 'image/png' });
  });

  await test.step('the dashboard says the same', async () => {
    const page = await stays.page.context().newPage();
    await page.goto(`${house.aggregator}/?f=${federation.id}`);
    const dashboard = page.locator('#dashboard');
    await expect(dashboard.getByTestId('secure')).toHaveAttribute('data-value', '1');
    await expect(dashboard.getByTestId('record-lines')).toHaveAttribute('data-value', '2');
    await expect(dashboard.getByTestId('record-fingerprint')).toHaveAttribute('data-value', (await Record.of(house.aggregator, federation.id)).head);
    expect(await overflows(page)).toBe(false);
    await info.attach('dashboard', { body: await page.screenshot({ fullPage: true }), contentType: 'image/png' });
  });
  expect(all.flatMap(({ errors }) => errors)).toEqual([]);
  await Promise.all(all.map(({ context }) => context.close()));
});

test('a tab that is reloaded at each step of a sum sends the same bytes again and goes on', async ({ house, browser }) => {
  test.setTimeout(300_000);
  const federation = await house.federation(secure(3));
  const all = await tabs(browser, 3);
  const [reloads, ...others] = all.map(({ join }) => join) as [JoinPage, JoinPage, JoinPage];
  const sent: { [kind in Kind]: Buffer[] } = { keys: [], shares: [], masked: [], confirm: [], unmask: [] };
  let interrupted = (): void => undefined;
  let next = new Promise<void>((resolve) => (interrupted = resolve));
  await onSums(reloads.page, async (kind, route) => {
    const body = route.request().postDataBuffer();
    if (body !== null) sent[kind].push(body);
    if (sent[kind].length > 1) return route.continue();
    // The first time it arrives, and the answer is lost; or it is lost itself.
    if (kind === 'shares' || kind === 'unmask') await route.fetch();
    interrupted();
  });
  await Promise.all(all.map(async ({ join }, owner) => join.takePart(federation.link, owner + 1, PICTURES)));
  for (const kind of KINDS) {
    await test.step(`reloaded while it sends its ${kind}`, async () => {
      await next;
      next = new Promise<void>((resolve) => (interrupted = resolve));
      await reloads.page.reload();
      await reloads.id('resume-session').click();
      await expect.poll(() => sent[kind].length, { timeout: 60_000 }).toBeGreaterThan(1);
    });
  }
  for (const join of [reloads, ...others]) await expect(join.id('finished')).toContainText('All rounds are complete', { timeout: 120_000 });
  for (const kind of KINDS) {
    const [first, ...again] = sent[kind];
    for (const body of again) expect(body.equals(first ?? Buffer.alloc(0)), kind).toBe(true);
  }
  const [entry] = (await Record.of(house.aggregator, federation.id)).rounds;
  expect(entry?.cohort?.contributors).toHaveLength(3);
  await expect(reloads.running('delivered')).toHaveAttribute('data-value', '1');
  expect((await house.detail(federation.id)).summary.participants).toBe(3);
  expect(all.flatMap(({ errors }) => errors)).toEqual([]);
  await Promise.all(all.map(({ context }) => context.close()));
});

test('an aggregator that shows another record, or another cohort, stops the tab loudly', async ({ house, browser }, info) => {
  test.setTimeout(300_000);
  const federation = await house.federation(secure(3, { 'federation.rounds': 2 }));
  const all = await tabs(browser, 3);
  const [record, roster, honest] = all.map(({ join }) => join) as [JoinPage, JoinPage, JoinPage];
  // To the first it tells another sum than the one that was opened.
  await record.page.route('**/record?from=*', async (route) => {
    const answer = await route.fetch();
    const text = await answer.text();
    await route.fulfill({ response: answer, body: altered(text) });
  });
  // To the second it shows somebody else's key under a name of the second round's cohort.
  await roster.page.route('**/rounds/1/sum?phase=shares', async (route) => {
    const answer = await route.fetch();
    const body = await answer.body();
    body.writeUInt8(body.readUInt8(body.length - 1) ^ 1, body.length - 1);
    await route.fulfill({ response: answer, body });
  });
  await Promise.all(all.map(async ({ join }, owner) => join.takePart(federation.link, owner + 1, PICTURES)));

  const silentFrom = async (join: JoinPage): Promise<string[]> => {
    const said: string[] = [];
    join.page.on('request', (request) => said.push(`${request.method()} ${request.url()}`));
    return said;
  };
  await test.step('the altered line is found and said', async () => {
    const finish = record.id('finished');
    await expect(finish).toContainText('Stopped for safety', { timeout: 120_000 });
    await expect(finish).toHaveAttribute('role', 'alert');
    await expect(record.id('suspicion')).toContainText('line 2 of the record is wrong');
    await expect(record.id('download-generator')).toBeHidden();
    // Of what had been checked before, it is sure.
    await expect(record.running('record-lines')).toHaveAttribute('data-value', '1');
    await info.attach('stopped', { body: await record.page.screenshot({ fullPage: true }), contentType: 'image/png' });
  });
  await test.step('nothing more is sent, also after a reload', async () => {
    const said = await silentFrom(record);
    await record.page.reload();
    // It is said at once: there is nothing to go on with.
    await expect(record.id('finished')).toContainText('Stopped for safety');
    await expect(record.id('suspicion')).toContainText('line 2');
    expect(said.filter((line) => line.startsWith('POST') && line.includes(house.aggregator))).toEqual([]);
  });
  // The others cannot make a cohort of three any more: somebody else comes.
  const [late] = await tabs(browser, 1);
  if (late === undefined) throw new Error('no tab');
  await late.join.takePart(federation.link, 9, PICTURES);
  await test.step('the altered cohort is found and said, before any share is sent', async () => {
    const shares: Kind[] = [];
    roster.page.on('request', (request) => {
      const kind = kindOf(request);
      if (kind !== null && request.url().includes('/rounds/1/')) shares.push(kind);
    });
    await expect(roster.id('finished')).toContainText('Stopped for safety', { timeout: 120_000 });
    await expect(roster.id('suspicion')).toContainText('keys are not signed');
    expect(shares).toEqual(['keys']);
  });
  await expect(honest.running('activity')).toBeVisible();
  await Promise.all([...all, late].map(({ context }) => context.close()));
});

test('with noise the page and the dashboard show the same ε, and it stays below the limit', async ({ house, browser }, info) => {
  test.setTimeout(240_000);
  const federation = await house.federation(secure(3, { 'federation.rounds': 2, 'federation.clip': 1, 'federation.privacy.epsilon': 6, 'federation.privacy.delta': 0.00001 }));
  const all = await tabs(browser, 3, 0);
  const [join] = all.map((tab) => tab.join) as [JoinPage];
  await join.open(federation.link);
  await expect(join.id('organiser-learns')).toContainText('ε at most 6, at δ = 10⁻⁵');
  await Promise.all(all.map(async (tab, owner) => tab.join.takePart(federation.link, owner + 1, PICTURES)));
  await join.above('privacy', 0, 120_000);
  for (const tab of all) await expect(tab.join.id('finished')).toBeVisible({ timeout: 120_000 });
  const spent = await join.value('privacy');
  expect(spent).toBeGreaterThan(3);
  expect(spent).toBeLessThanOrEqual(6);
  await expect(join.page.locator('#ledger-meter')).toHaveJSProperty('max', 6);
  expect(await overflows(join.page)).toBe(false);
  const entry = (await Record.of(house.aggregator, federation.id)).rounds.at(-1);
  // The record tells it upwards, to three places.
  expect(Math.abs((entry?.epsilon ?? NaN) - spent)).toBeLessThan(2e-3);
  const page = await join.page.context().newPage();
  await page.goto(`${house.aggregator}/?f=${federation.id}`);
  const told = page.locator('#dashboard').getByTestId('privacy');
  await expect.poll(async () => Math.abs(Number(await told.getAttribute('data-value')) - spent)).toBeLessThan(2e-3);
  expect(await overflows(page)).toBe(false);
  await info.attach('noise', { body: await join.page.screenshot({ fullPage: true }), contentType: 'image/png' });
  await Promise.all(all.map(({ context }) => context.close()));
});

test('a browser that lost its membership but not its key gets its number back, also with a used-up invite', async ({ house, join }) => {
  const federation = await house.federation({ 'federation.open.count_min': 1, 'federation.upload.count_min': 1, 'federation.local_steps': 1, 'federation.rounds': 100_000 });
  await join.takePart(federation.link, 3, PICTURES);
  await join.above('delivered', 0);
  const before = await join.storedMembership(federation.id);
  await join.forget(federation.id, ['membership', 'state', 'data']);
  await join.takePart(federation.link, 3, PICTURES);
  await join.above('delivered', 0);
  expect((await house.detail(federation.id)).summary.participants).toBe(1);
  // A fresh token, so other bytes.
  expect(await join.storedMembership(federation.id)).not.toEqual(before);
});
