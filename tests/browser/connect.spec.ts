/** The connect dialog: what the model answers to a harmless question, what it costs, and what cures it where it fails. */
import { Child } from './support/child.ts';
import { ChatModel, KEY } from './support/chat.ts';
import { ALONE } from './support/house.ts';
import { FED_BBPT } from './support/paths.ts';
import { expect, test } from './support/test.ts';

test('a model that works is shown with its answer; one that refuses the page with the setting that cures it', async ({ house, join }) => {
  const steps = join.id('connect-steps');
  await test.step('it works', async () => {
    await join.open((await house.federation(ALONE)).link);
    await join.id('try-model').click();
    await expect(steps).toHaveAttribute('data-state', 'good');
    await expect(steps).toContainText('printed-digits');
    await expect(steps).toContainText(/it said “\d” \(\d+%\)/);
    await join.page.keyboard.press('Escape');
    await expect(join.id('connect-dialog')).toBeHidden();
  });
  await test.step('it runs, but does not allow this page', async () => {
    const strict = await Child.start(FED_BBPT, ['model-api', '--listen', '127.0.0.1:0']);
    await join.open((await house.federation({ ...ALONE, 'model.url': strict.url })).link);
    await join.id('try-model').click();
    await expect(steps.locator('[data-code=model_cors]')).toBeVisible({ timeout: 20_000 });
    await expect(join.id('connect-cures')).toContainText(`fed-bbpt model-api --allow-origin ${house.aggregator}`);
    await expect(join.id('connect-cures')).toContainText('OpenVINO');
    await strict.stop();
  });
  await test.step('nothing runs there', async () => {
    await join.open((await house.federation({ ...ALONE, 'model.url': 'http://127.0.0.1:9' })).link);
    await join.id('try-model').click();
    await expect(steps.locator('[data-code=model_unreachable]')).toBeVisible({ timeout: 20_000 });
    await expect(join.id('connect-cures')).toContainText('fed-bbpt relay --upstream');
  });
});

test('a chat model with a key: refused without it, paid for within the budget, and nobody else gets the key', async ({ house, join }) => {
  const model = await ChatModel.open();
  const federation = await house.federation({
    ...ALONE,
    'model.url': model.url,
    'model.dialect': 'openai',
    'model.name': 'sees',
    'model.openai.instruction': 'Which digit is this?',
    'model.price.currency': 'EUR',
    'model.price.per_call': 0.001,
    'model.price.budget': 0.3,
  });
  const toOthers: string[] = [];
  join.page.context().on('request', (request) => {
    if (!request.url().startsWith(new URL(model.url).origin)) toOthers.push(`${request.url()} ${JSON.stringify(request.headers())} ${request.postDataBuffer()?.toString('latin1') ?? ''}`);
  });
  const steps = join.id('connect-steps');
  await join.open(federation.link);
  await join.id('try-model').click();
  await expect(steps.locator('[data-code=model_unauthorized]')).toBeVisible();
  await join.id('connect-key').fill(KEY);
  await join.id('connect-again').click();
  await expect(steps).toHaveAttribute('data-state', 'good');
  await expect(steps).toContainText('“3” (55%)');
  await expect(steps).toContainText('stops before 0.30 EUR');
  await join.id('connect-close').click();

  await join.chooseBuiltin(1, 40);
  await join.start();
  // 0.3 EUR are 300 calls; the page stops by itself, says why, and leaves, so that nobody waits for it.
  await expect(join.page.locator('#finish-title')).toContainText('The budget for the model is spent', { timeout: 60_000 });
  await expect.poll(async () => (await house.detail(federation.id)).summary.live).toBe(0);
  const paid = model.authorised.filter((allowed) => allowed).length;
  expect(model.bodies.length).toBeGreaterThan(250);
  expect(model.bodies.length).toBeLessThanOrEqual(300);
  expect(paid).toBeGreaterThan(model.bodies.length);
  await expect(join.running('money-spent')).toContainText(/0\.\d+ EUR of 0\.30/);
  expect(JSON.stringify(model.bodies[0]?.messages)).toContain('data:image/png;base64,');

  expect(toOthers.length).toBeGreaterThan(0);
  expect(toOthers.filter((sent) => sent.includes(KEY))).toEqual([]);
  const stored = await join.page.evaluate(async () => {
    const texts = [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie];
    for (const { name } of await indexedDB.databases()) {
      const db = await new Promise<IDBDatabase>((resolve, reject) => {
        const opening = indexedDB.open(name ?? '');
        opening.onsuccess = () => resolve(opening.result);
        opening.onerror = () => reject(opening.error ?? new Error('closed'));
      });
      for (const store of db.objectStoreNames) {
        const all = await new Promise<unknown[]>((resolve) => {
          const asked = db.transaction(store).objectStore(store).getAll();
          asked.onsuccess = () => resolve(asked.result as unknown[]);
        });
        for (const record of all) texts.push(record instanceof Uint8Array ? new TextDecoder('latin1').decode(record) : JSON.stringify(record, (_, value) => (value instanceof Uint8Array ? new TextDecoder('latin1').decode(value) : value)));
      }
      db.close();
    }
    return texts.join('\n');
  });
  expect(stored.length).toBeGreaterThan(100);
  expect(stored).not.toContain(KEY);
  for (const bytes of await house.stored()) expect(bytes.includes(KEY)).toBe(false);
  await model.close();
});
