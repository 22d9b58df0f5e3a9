/** A model that runs in the owner's browser: it is fetched once, nothing is sent to a server, and its faults are named. */
import type { Page } from '@playwright/test';
import { ALONE } from './support/house.ts';
import { expect, test } from './support/test.ts';

/** Addresses that the page and its Workers asked for, without assets. */
function requestsOf(page: Page): string[] {
  const asked: string[] = [];
  page.context().on('request', (request) => {
    if (!request.url().includes('/assets/')) asked.push(`${request.method()} ${request.url()}`);
  });
  return asked;
}

const files = (asked: string[]): string[] => asked.filter((line) => line.includes('/models/'));

test('the model comes to the device and runs there; a reload finds it kept', async ({ house, join, page }) => {
  const federation = await house.onDevice(ALONE);
  const asked = requestsOf(page);
  await join.open(federation.link);

  await test.step('the page says what holds', async () => {
    await expect(join.id('device-terms')).toContainText('Your pictures, prompted or not, never leave this device.');
    await expect(page.getByText('The model comes to you')).toBeVisible();
    for (const gone of ['#own-model', '#api-key', '[data-runs="there"] >> nth=0']) await expect(page.locator(gone)).toBeHidden();
    expect(files(asked)).toEqual([]);
  });
  await join.chooseBuiltin(7, 60);
  await expect(page.locator('#start-hint')).toContainText('They stay on this device');
  await join.start();
  const delivered = await join.above('delivered', 0);

  await test.step('nobody was asked anything', async () => {
    expect(files(asked)).toEqual([`GET ${house.aggregator}/models/printed-digits.onnx`]);
    const own = asked.filter((line) => new URL(line.split(' ')[1] ?? '').origin === house.aggregator);
    expect(asked, 'requests to other origins').toEqual(own);
    expect(asked.filter((line) => line.includes('/v2/'))).toEqual([]);
    expect(await join.value('queries')).toBeGreaterThan(64);
  });
  await page.reload();
  await join.id('resume-session').click();
  await join.above('delivered', delivered);
  expect(files(asked)).toHaveLength(1);

  await test.step('leaving deletes it', async () => {
    await join.running('leave').click();
    await page.getByTestId('leave-yes').click();
    await expect(join.id('left')).toBeVisible();
    expect(await page.evaluate(async () => (await (await caches.open('fed-bbpt-models')).keys()).length)).toBe(0);
  });
});

test('another file, no file and no answer are told apart', async ({ house, join }) => {
  const cases = [
    { settings: { 'model.on_device.sha256': '0'.repeat(64) }, code: 'model_hash', says: /not the model that the organiser chose[\s\S]*SHA-256/ },
    { settings: { 'model.name': 'none.onnx' }, code: 'model_status', says: /answers 404/ },
    { settings: { 'model.url': 'http://127.0.0.1:9' }, code: 'model_fetch', says: /Access-Control-Allow-Origin/ },
  ];
  for (const { settings, code, says } of cases) {
    const federation = await house.onDevice({ ...ALONE, ...settings });
    await join.open(federation.link);
    await join.chooseBuiltin(7, 40);
    await join.id('start').click();
    await expect(join.trouble(code)).toContainText(says);
    expect(await join.announced(join.trouble(code))).toBe(true);
    await expect(join.id('start')).toBeEnabled();
    await expect(join.page.locator('#running')).toBeHidden();
  }
});

test('texts are tokenized and answered on the device too', async ({ house, join, page }) => {
  const federation = await house.reviewsOnDevice(ALONE);
  const asked = requestsOf(page);
  await join.open(federation.link);
  await expect(join.id('device-terms')).toContainText('Your texts, prompted or not, never leave this device.');
  await join.paste(Array.from({ length: 12 }, (_, i) => `${i % 2 === 0 ? 'positive' : 'negative'}: the plot of film ${i}`).join('\n'));
  await join.start();
  await join.above('delivered', 0);
  expect(files(asked)).toHaveLength(4);
  expect(asked.filter((line) => line.includes('/v2/'))).toEqual([]);
});
