/** The aggregator dies in the middle and comes back: the tab says so, waits, and goes on. */
import { JoinPage } from './pages/join.ts';
import { ALONE, House } from './support/house.ts';
import { errorsOf, expect, test } from './support/test.ts';

/** Enough rounds for the second to be far from the end. */
const ROUNDS = 40;

test('the aggregator is killed and started again; nothing is lost and nothing counted twice', async ({ page }) => {
  test.setTimeout(240_000);
  // Servers of its own, so that no other test feels it.
  const house = await House.open();
  const errors = errorsOf(page);
  const join = new JoinPage(page);
  const federation = await house.federation({ ...ALONE, 'federation.rounds': ROUNDS });
  await join.takePart(federation.link, 16, 60);
  await join.above('delivered', 1);
  const restart = await house.killAggregator();
  const trouble = join.trouble('aggregator_unreachable');
  await expect(trouble).toBeVisible({ timeout: 60_000 });
  await expect(trouble).toContainText('keeps trying by itself');
  expect(await join.announced(trouble)).toBe(true);
  const delivered = await join.value('delivered');
  await restart();
  await join.above('delivered', delivered + 1);
  await expect(trouble).toHaveCount(0);
  await expect(join.id('finished')).toBeVisible({ timeout: 120_000 });
  const { rounds, summary } = await house.detail(federation.id);
  expect(summary).toMatchObject({ status: 'finished', step: ROUNDS, participants: 1 });
  const done = rounds.filter((round) => round.phase === 'done');
  expect(new Set(done.map((round) => round.round)).size).toBe(ROUNDS);
  expect(done.every((round) => round.delivered === 1)).toBe(true);
  // What the tab counts as delivered is what the aggregator has counted, but for an answer that the kill cut off.
  expect(ROUNDS - (await join.value('delivered'))).toBeLessThanOrEqual(1);
  expect(await join.value('delivered')).toBeLessThanOrEqual(ROUNDS);
  expect(errors).toEqual([]);
  await page.close();
  await house.close();
});
