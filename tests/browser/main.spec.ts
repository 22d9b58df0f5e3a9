/** The main job: three tabs with different owners teach the model to read handwriting. */
import type { BrowserContext } from '@playwright/test';
import { JoinPage } from './pages/join.ts';
import { errorsOf, expect, test } from './support/test.ts';

const ROUNDS = 60;

test('three tabs train until accuracy has risen; one reloads, one closes for good', async ({ house, browser }, info) => {
  test.setTimeout(240_000);
  const federation = await house.federation({
    'federation.rounds': ROUNDS,
    // Whoever closed is missed only for so long.
    'federation.lease_seconds': 15,
    'federation.open.time_min_ms': 700,
  });
  const contexts: BrowserContext[] = [];
  const errors: string[][] = [];
  // Contexts of their own: different people's browsers share no storage.
  const tabs = await Promise.all(
    [1, 2, 3].map(async (owner) => {
      const context = await browser.newContext();
      contexts.push(context);
      const page = await context.newPage();
      errors.push(errorsOf(page));
      const tab = new JoinPage(page);
      await tab.takePart(federation.link, owner, 160);
      return tab;
    }),
  );
  const [stays, reloads, closes] = tabs as [JoinPage, JoinPage, JoinPage];

  await test.step('all three deliver, and the federation starts below 20%', async () => {
    for (const tab of tabs) await tab.above('delivered', 1);
    expect(await stays.above('federation-before', -1)).toBeLessThan(0.2);
    expect((await house.detail(federation.id)).summary.participants).toBe(3);
  });

  await test.step('one closes for good', async () => {
    await closes.page.close();
    const { step } = (await house.detail(federation.id)).summary;
    // The round that it was part of ends, and so do the following ones.
    await stays.above('round-step', step + 1);
  });

  await test.step('one reloads and goes on where it was', async () => {
    const delivered = await reloads.value('delivered');
    const queries = await reloads.value('queries');
    const membership = await reloads.storedMembership(federation.id);
    expect(membership.length).toBeGreaterThan(0);
    await reloads.page.reload();
    await reloads.id('resume-session').click();
    await expect(reloads.page.locator('#running')).toBeVisible();
    expect(await reloads.above('delivered', delivered - 1)).toBeGreaterThanOrEqual(delivered);
    await reloads.above('delivered', delivered);
    expect(await reloads.value('queries')).toBeGreaterThan(queries);
    // Participant number and token are the same, and the aggregator knows of nobody new.
    expect(await reloads.storedMembership(federation.id)).toEqual(membership);
    expect((await house.detail(federation.id)).summary.participants).toBe(3);
  });

  await test.step('accuracy rises above 70%', async () => {
    await stays.above('federation-accuracy', 0.7, 180_000);
    expect(await stays.value('accuracy-now')).toBeGreaterThan(await stays.value('accuracy-before'));
    await expect(stays.page.getByTestId('pictures').locator('canvas').first()).toBeVisible();
  });

  await test.step('the end is said, and the dashboard shows the same numbers', async () => {
    for (const tab of [stays, reloads]) await expect(tab.id('finished')).toBeVisible({ timeout: 120_000 });
    const detail = await house.detail(federation.id);
    expect(detail.summary).toMatchObject({ status: 'finished', step: ROUNDS });
    const dashboard = stays.page;
    const shown = await stays.value('federation-accuracy');
    await dashboard.goto(`${house.aggregator}/?f=${federation.id}`);
    await expect(dashboard.locator('#dashboard').getByTestId('federation-accuracy')).toHaveAttribute('data-value', String(shown));
    await expect(dashboard.getByTestId('status')).toHaveAttribute('data-status', 'finished');
    info.annotations.push({ type: 'accuracy', description: String(shown) });
  });

  expect(errors.flat()).toEqual([]);
  await Promise.all(contexts.map((context) => context.close()));
});
