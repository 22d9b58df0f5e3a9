/**
 * WebGPU on SwiftShader, which Chromium brings along: slow, but the same shader and the same answers. With
 * `WEBGPU=hardware` on the machine's own graphics device.
 */
import { HARDWARE } from '../playwright.config.ts';
import { JoinPage } from './pages/join.ts';
import { ALONE } from './support/house.ts';
import { expect, test } from './support/test.ts';

const WEBGPU = '?backend=webgpu';

function withSearch(link: string, search: string): string {
  const url = new URL(link);
  url.search = search;
  return url.href;
}

test('forced to WebGPU, the Worker passes the known answers and trains', async ({ house, join }) => {
  const federation = await house.federation(ALONE);
  await join.takePart(withSearch(federation.link, WEBGPU), 8, 60);
  // The reason is given only after the known answers and the comparison with the CPU have passed.
  await expect(join.page.locator('#backend-reason')).toContainText('checked against the CPU');
  await expect(join.running('backend')).toHaveAttribute('data-value', 'webgpu');
  await join.above('delivered', 0);
  await expect(join.running('backend')).toHaveAttribute('data-value', 'webgpu');
  expect((await house.detail(federation.id)).rounds[0]).toMatchObject({ phase: 'done', delivered: 1 });
});

test('by itself it takes the faster one of a real adapter and the processor', async ({ house, join }) => {
  test.skip(!HARDWARE, 'the adapter is software');
  const federation = await house.federation(ALONE);
  await join.takePart(federation.link, 9, 60);
  await join.above('delivered', 0);
  const reason = join.page.locator('#backend-reason');
  await expect(reason).toContainText('ms');
  await expect(reason).not.toContainText('software');
  console.log(await join.running('backend').getAttribute('data-value'), await reason.innerText());
});

test('by itself it takes the processor, because the adapter is software', async ({ house, join }) => {
  test.skip(HARDWARE, 'the adapter is hardware');
  const federation = await house.federation(ALONE);
  await join.takePart(federation.link, 9, 60);
  await expect(join.running('backend')).toHaveAttribute('data-value', 'cpu');
  await expect(join.page.locator('#backend-reason')).toContainText('software');
});

test('the same participant computes the same with either backend', async ({ house, browser }) => {
  const results: number[][] = [];
  for (const backend of ['cpu', 'webgpu']) {
    const federation = await house.federation({ ...ALONE, 'federation.rounds': 1 });
    const context = await browser.newContext();
    const join = new JoinPage(await context.newPage());
    await join.takePart(withSearch(federation.link, `?backend=${backend}`), 10, 60);
    await expect(join.id('finished')).toBeVisible({ timeout: 90_000 });
    await expect(join.running('backend')).toHaveAttribute('data-value', backend);
    const theta = await fetch(`${house.aggregator}/v1/federations/${federation.id}/theta`);
    results.push([...new Float32Array(await theta.arrayBuffer())]);
    await context.close();
  }
  expect(results[0]).toHaveLength(425);
  // Not the start, which is all zero.
  expect(results[0]?.some((value) => value !== 0)).toBe(true);
  expect(results[1]).toEqual(results[0]);
});
