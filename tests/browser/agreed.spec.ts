/** A person agrees to a model, a server and what becomes of the numbers; if any of it changes, the page asks again. */
import { ALONE } from './support/house.ts';
import { Listener } from './support/listener.ts';
import { secure } from './support/sums.ts';
import { expect, test } from './support/test.ts';
import { Wire } from './support/wire.ts';

/** The link by which somebody sends a participant of `federation` to another model API. */
function crafted(aggregator: string, federation: string, model: string): string {
  return `${aggregator}/f/${federation}/at/${Buffer.from(model).toString('base64url')}/`;
}

test('a link that names another model sends nothing of a returning owner there, not even a question', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  const other = await Listener.open();
  await join.takePart(federation.link, 8, 60);
  await join.above('delivered', 0);

  // Silence has no event to wait for.
  const asked = page.waitForRequest((request) => request.url().startsWith(other.url), { timeout: 3_000 });
  const silent = expect(asked).rejects.toThrow('Timeout');
  await page.goto(crafted(house.aggregator, federation.id, other.url));
  const changed = join.id('changed');
  await expect(changed).toBeVisible();
  await expect(changed).toContainText(`The model${house.model} → ${other.url}`);
  expect(await join.announced(changed)).toBe(true);
  // No key can be typed, and nothing goes on, before the person has agreed.
  await expect(join.id('resume-session')).toBeHidden();
  await expect(join.id('resume-api-key')).toBeHidden();
  await expect(join.id('start')).toBeHidden();
  await silent;
  expect(other.seen).toEqual([]);

  // At the address that was agreed to, nothing has changed.
  await page.goto(federation.link);
  await expect(join.id('resume-session')).toBeVisible();
  await expect(changed).toBeHidden();
  await join.id('resume-session').click();
  await join.above('delivered', 1);
  await other.close();
});

test('a federation that is done shows no pictures by another model', async ({ house, join, page }) => {
  const federation = await house.federation({ ...ALONE, 'federation.rounds': 1 });
  const other = await Listener.open();
  await join.takePart(federation.link, 9, 60);
  await expect(join.id('finished')).toBeVisible({ timeout: 90_000 });
  const asked = page.waitForRequest((request) => request.url().startsWith(other.url), { timeout: 3_000 });
  const silent = expect(asked).rejects.toThrow('Timeout');
  await page.goto(crafted(house.aggregator, federation.id, other.url));
  await expect(join.id('finished')).toBeVisible();
  await silent;
  expect(other.seen).toEqual([]);
  await other.close();
});

test('who agrees to another model goes on there, and is not asked a second time', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  const own = await Wire.to(house.model);
  await join.takePart(federation.link, 10, 60);
  await join.above('delivered', 0);
  const link = crafted(house.aggregator, federation.id, own.url);
  await page.goto(link);
  await join.id('agree-changes').click();
  await expect(join.id('changed')).toBeHidden();
  expect(own.sent).toHaveLength(0);
  await join.id('resume-session').click();
  await join.above('delivered', 1);
  expect(own.sent.length).toBeGreaterThan(0);
  await page.reload();
  await expect(join.id('resume-session')).toBeVisible();
  await expect(join.id('changed')).toBeHidden();
  // The federation's own model is now the other one.
  await page.goto(federation.link);
  await expect(join.id('changed')).toContainText(`${own.url} → ${house.model}`);
  await join.id('forget-changed').click();
  await join.id('leave-yes').click();
  await expect(join.id('left')).toBeVisible();
  await page.goto(link);
  await expect(join.id('resume-session')).toBeHidden();
  await expect(join.id('changed')).toBeHidden();
  await own.close();
});

test('a model that only the link names is pointed out to somebody new', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  await expect(join.id('model-elsewhere')).toBeHidden();
  await page.goto(`${crafted(house.aggregator, federation.id, 'http://127.0.0.1:9')}${new URL(federation.link).hash}`);
  await expect(join.id('model-elsewhere')).toContainText('The link that you opened names this address, not the organiser');
});

test('a federation without secure sums says so, before and while the owner takes part, and on the dashboard', async ({ house, join, page }) => {
  const said = 'This federation has no secure sums: the organiser can see';
  const plain = await house.federation(ALONE);
  await join.open(plain.link);
  await expect(page.locator('#setup').getByTestId('no-secure-sums')).toContainText(said);
  await join.chooseBuiltin(11, 60);
  await join.start();
  const running = join.running('no-secure-sums');
  await expect(running).toContainText(said);
  // In the colour of what is wrong, and not in that of the text around it.
  const colours = await running.evaluate((element) => [element, document.body].map((each) => getComputedStyle(each).color));
  expect(colours[0]).not.toBe(colours[1]);
  const dashboard = page.locator('#dashboard').getByTestId('no-secure-sums');
  await page.goto(`${house.aggregator}/?f=${plain.id}`);
  await expect(dashboard).toContainText(said);

  const hidden = await house.federation(secure(3));
  await page.goto(`${house.aggregator}/?f=${hidden.id}`);
  await expect(page.getByTestId('status')).toContainText(/\w/);
  await expect(page.locator('#dashboard').getByTestId('secure')).toHaveAttribute('data-value', '1');
  await expect(dashboard).toBeHidden();
  await join.open(hidden.link);
  await expect(page.locator('#setup').getByTestId('no-secure-sums')).toBeHidden();
});
