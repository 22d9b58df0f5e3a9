/** The next step's pictures are computed while the model is answering; whether they are changes no number. */
import { JoinPage } from './pages/join.ts';
import { ALONE, type Settings } from './support/house.ts';
import { expect, test } from './support/test.ts';

/** Steps of 64 pictures; after a round's first the pictures of each are known before the answers to the last. */
const STEPS: Settings = { ...ALONE, 'federation.ask_ahead': 'true', 'federation.local_steps': 4, 'federation.rounds': 2 };

function withSearch(link: string, search: string): string {
  const url = new URL(link);
  url.search = search;
  return url.href;
}

for (const backend of ['cpu', 'webgpu']) {
  test(`pictures are ready before they are asked, and nothing else changes: ${backend}`, async ({ house, browser }) => {
    const results: { prepared: number; queries: number; theta: number[] }[] = [];
    for (const prepare of ['on', 'off']) {
      const federation = await house.federation(STEPS);
      const context = await browser.newContext();
      const join = new JoinPage(await context.newPage());
      await join.takePart(withSearch(federation.link, `?backend=${backend}&prepare=${prepare}`), 17, 60);
      await expect(join.id('finished')).toBeVisible({ timeout: 90_000 });
      await expect(join.running('backend')).toHaveAttribute('data-value', backend);
      const theta = await fetch(`${house.aggregator}/v1/federations/${federation.id}/theta`);
      results.push({ prepared: await join.value('prepared'), queries: await join.value('queries'), theta: [...new Float32Array(await theta.arrayBuffer())] });
      await context.close();
    }
    const [on, off] = results;
    // Each of the 8 steps finds its first request ready at least, and all of it on the GPU.
    expect(on?.prepared).toBeGreaterThanOrEqual(8 * (backend === 'cpu' ? 32 : 64));
    expect(on?.prepared).toBeLessThanOrEqual(8 * 64);
    expect(off?.prepared).toBe(0);
    expect(on?.theta.some((value) => value !== 0)).toBe(true);
    expect(on?.theta).toEqual(off?.theta);
    expect(on?.queries).toBe(off?.queries);
  });
}

test('a pause in the middle of it leaves the graphics device usable', async ({ house, join }) => {
  const federation = await house.federation({ ...STEPS, 'federation.rounds': 100_000 });
  await join.takePart(withSearch(federation.link, '?backend=webgpu'), 18, 60);
  await join.above('delivered', 0);
  for (let pauses = 0; pauses < 10; pauses += 1) {
    const queries = await join.value('queries');
    await join.id('pause').click();
    await expect(join.running('activity')).toHaveAttribute('data-value', 'paused');
    await join.id('resume').click();
    await join.above('queries', queries);
  }
  const prepared = await join.value('prepared');
  await join.above('prepared', prepared);
  await expect(join.running('backend')).toHaveAttribute('data-value', 'webgpu');
  await expect(join.trouble()).toHaveCount(0);
});
