/** Phone width, keyboard alone, dark and light. */
import type { Page } from '@playwright/test';
import { OrganiserPage } from './pages/organiser.ts';
import { ADMIN_TOKEN, ALONE } from './support/house.ts';
import { expect, test } from './support/test.ts';

/** What sticks out on the right, by tag and id; what scrolls in a box of its own does not count. */
function overflow(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > width + 1)
      .map((element) => `${element.tagName}#${element.id}.${element.className}`);
  });
}

/** Presses Tab until the element has the focus, as somebody without a mouse does. */
async function tabTo(page: Page, testId: string): Promise<void> {
  const focused = (): Promise<string | null> => page.evaluate(() => document.activeElement?.getAttribute('data-testid') ?? null);
  for (let presses = 0; presses < 60; presses += 1) {
    if ((await focused()) === testId) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`sixty times Tab do not reach ${testId}`);
}

test.describe('at phone width', () => {
  test.use({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: false });

  test('nothing sticks out sideways on any page', async ({ house, join, page }) => {
    const federation = await house.federation({ ...ALONE, 'federation.rounds': 4 });
    await join.open(federation.link);
    for (const tab of ['tab-builtin', 'tab-files', 'tab-draw']) {
      await join.id(tab).click();
      for (const summary of await page.locator('main summary:visible').all()) await summary.click();
      expect(await overflow(page), tab).toEqual([]);
    }
    await join.id('tab-builtin').click();
    await join.id('choose-builtin').click();
    await expect(join.id('data-report')).toBeVisible();
    expect(await overflow(page), 'report').toEqual([]);
    await join.start();
    await join.above('delivered', 0);
    await expect(join.id('pictures').locator('canvas').first()).toBeVisible();
    expect(await overflow(page), 'running').toEqual([]);
    await expect(join.id('finished')).toBeVisible({ timeout: 90_000 });
    expect(await overflow(page), 'finished').toEqual([]);

    await page.goto(`${house.aggregator}/`);
    await expect(page.getByTestId('federation-card').first()).toBeVisible();
    expect(await overflow(page), 'list').toEqual([]);
    await page.goto(`${house.aggregator}/?f=${federation.id}`);
    await expect(page.getByTestId('status')).toHaveAttribute('data-status', 'finished');
    expect(await overflow(page), 'dashboard').toEqual([]);
    const organiser = new OrganiserPage(page);
    await organiser.signIn(house.aggregator, ADMIN_TOKEN);
    await expect(organiser.row(federation.id)).toBeVisible();
    for (const summary of await page.locator('main summary:visible').all()) await summary.click();
    expect(await overflow(page), 'organiser').toEqual([]);
    await organiser.id('tab-file').click();
    expect(await overflow(page), 'organiser, file').toEqual([]);
  });
});

test('the keyboard alone leads from the link to training, pausing and leaving', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  await page.keyboard.press('Tab');
  await expect(page.locator('.skip')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('#main')).toBeFocused();
  // The invite stands in the fragment and must stay there, or a reload would lose it.
  expect(page.url()).toBe(federation.link);
  await tabTo(page, 'tab-builtin');
  await page.keyboard.press('ArrowRight');
  await expect(join.id('tab-files')).toBeFocused();
  await page.keyboard.press('ArrowLeft');
  await tabTo(page, 'choose-builtin');
  await page.keyboard.press('Enter');
  await expect(join.id('data-report')).toBeVisible();
  await tabTo(page, 'start');
  await page.keyboard.press('Enter');
  await expect(page.locator('#running')).toBeVisible();
  await join.above('delivered', 0);
  await tabTo(page, 'pause');
  await page.keyboard.press('Enter');
  // The focus follows to the button that takes its place.
  await expect(join.id('resume')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(join.id('pause')).toBeFocused();
  await tabTo(page, 'leave');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await expect(join.id('leave')).toBeFocused();
});

/** Contrast of the text of an element with what lies behind it (WCAG 2). */
async function contrast(page: Page, selector: string): Promise<{ contrast: number; ground: number }> {
  return page.locator(selector).first().evaluate((element) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    if (canvas === null) throw new Error('no canvas');
    const luminance = (colour: string): { value: number; alpha: number } => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r = 0, g = 0, b = 0, alpha = 0] = canvas.getImageData(0, 0, 1, 1).data;
      const linear = (v: number): number => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
      return { value: 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b), alpha };
    };
    let behind: Element | null = element;
    while (behind !== null && luminance(getComputedStyle(behind).backgroundColor).alpha < 255) behind = behind.parentElement;
    const ground = luminance(getComputedStyle(behind ?? document.body).backgroundColor).value;
    const text = luminance(getComputedStyle(element).color).value;
    return { contrast: (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05), ground };
  });
}

for (const colorScheme of ['dark', 'light'] as const) {
  test(`${colorScheme} colours can be read`, async ({ house, join, page }) => {
    await page.emulateMedia({ colorScheme });
    const federation = await house.federation(ALONE);
    await join.open(federation.link);
    const places = ['h1', '.lead', '#choose-title', '#panel-builtin p', '.host-card dd', '.small:visible', '#choose-builtin', 'footer p'];
    for (const place of places) {
      const seen = await contrast(page, place);
      expect.soft(seen.contrast, place).toBeGreaterThanOrEqual(4.5);
      if (place === 'h1') expect(seen.ground < 0.2).toBe(colorScheme === 'dark');
    }
    await page.goto(`${house.aggregator}/?f=${federation.id}`);
    await expect(page.getByTestId('status')).toHaveAttribute('data-status', 'running');
    for (const place of ['h1', '.figure-title', '[data-testid="status"]']) expect.soft((await contrast(page, place)).contrast, place).toBeGreaterThanOrEqual(4.5);
  });
}
