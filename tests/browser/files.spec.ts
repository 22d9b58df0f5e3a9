/** Every way to bring data gives the right report. */
import type { Locator } from '@playwright/test';
import type { JoinPage } from './pages/join.ts';
import { ALONE } from './support/house.ts';
import { csv, folders, idx, zip } from './support/pictures.ts';
import { expect, test } from './support/test.ts';

/** The report's counts: label → pictures. */
async function counts(join: JoinPage): Promise<Record<string, number>> {
  const rows = await join.id('data-report').locator('.counts li').all();
  const pairs = rows.map(async (row): Promise<[string, number]> => [await row.locator('.label').innerText(), Number(await row.locator('.n').innerText())]);
  return Object.fromEntries((await Promise.all(pairs)).filter(([, n]) => n > 0));
}

/** The brightest pixel of a drawn sample. */
function brightest(sample: Locator): Promise<number> {
  return sample.evaluate((canvas: HTMLCanvasElement) => {
    const data = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    return Math.max(...[...data].filter((_, i) => i % 4 !== 3));
  });
}

async function report(join: JoinPage, total: number, expected: Record<string, number>): Promise<void> {
  await expect(join.id('data-report')).toHaveAttribute('data-value', String(total));
  expect(await counts(join)).toEqual(expected);
  const sample = join.id('data-report').locator('.samples canvas').first();
  await expect(sample).toBeVisible();
  expect(await brightest(sample)).toBeGreaterThan(150);
  await expect(join.id('start')).toBeEnabled();
  await expect(join.trouble()).toHaveCount(0);
}

test('a zip of class folders, an IDX pair and a table', async ({ house, join }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);

  await test.step('zip', async () => {
    await join.files(zip({ ...folders(['0', '1', '7'], 6), '__MACOSX/0/._1.png': Buffer.from('left behind') }));
    await report(join, 18, { '0': 6, '1': 6, '7': 6 });
  });
  await test.step('IDX, one of the two gzipped', async () => {
    await join.files(idx(40, 4));
    await report(join, 40, { '0': 10, '1': 10, '2': 10, '3': 10 });
  });
  await test.step('CSV', async () => {
    await join.files(csv(['3', '5', '3', '5', '3', '5', '3', '5', '3']));
    await report(join, 9, { '3': 5, '5': 4 });
  });
  await test.step('and the last choice trains', async () => {
    await join.start();
    await join.above('delivered', 0);
  });
});

test('digits drawn by mouse and by keyboard', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  await join.id('tab-draw').click();
  await join.id('draw-keep').click();
  await expect(page.locator('#draw-count')).toContainText('draw something first');
  const canvas = join.id('draw-canvas');
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  if (box === null) throw new Error('the drawing area is not in sight');
  const label = (text: string): Locator => page.locator('#draw-labels label', { hasText: text });
  for (const [digit, dx] of [['1', 0], ['1', 20], ['1', -20]] as const) {
    await label(digit).click();
    await page.mouse.move(box.x + box.width / 2 + dx, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 + dx, box.y + box.height - 20, { steps: 5 });
    await page.mouse.up();
    await join.id('draw-keep').click();
  }
  await expect(join.id('draw-use')).toBeDisabled();
  await label('7').click();
  for (let i = 0; i < 3; i += 1) {
    await canvas.focus();
    for (const key of ['ArrowUp', 'Space', 'ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
  }
  await expect(page.locator('#draw-count')).toContainText('6 drawings of 2 labels');
  await join.id('draw-use').click();
  await report(join, 6, { '1': 3, '7': 3 });
});
