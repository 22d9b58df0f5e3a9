/** What an organiser does: sign in, create, invite, watch, close. */
import { JoinPage } from './pages/join.ts';
import { federationOf, OrganiserPage } from './pages/organiser.ts';
import { ADMIN_TOKEN, ALONE } from './support/house.ts';
import { expect, test } from './support/test.ts';

test('a wrong token opens nothing and is said', async ({ house, page }) => {
  const organiser = new OrganiserPage(page);
  await organiser.signIn(house.aggregator, 'not-the-token-0123456789');
  await expect(page.locator('#token-fault')).toContainText('not the token');
  await expect(page.locator('#token-fault')).toHaveAttribute('role', 'alert');
  await expect(organiser.id('create')).toBeHidden();
  await organiser.id('admin-token').fill(ADMIN_TOKEN);
  await organiser.id('sign-in').click();
  await expect(organiser.id('create')).toBeVisible();
  await page.reload();
  await expect(organiser.id('create')).toBeVisible();
  await organiser.id('sign-out').click();
  await expect(organiser.id('create')).toBeHidden();
});

test('create from the form, invite, watch and close', async ({ house, page, context, browser }) => {
  const organiser = new OrganiserPage(page);
  await organiser.signIn(house.aggregator, ADMIN_TOKEN);
  await organiser.field('name').fill('Digits of the form');
  await organiser.field('model.url').fill(house.model);
  await organiser.field('federation.rounds').fill('3');

  const link = await test.step('a fault stands beside its field', async () => {
    await organiser.field('federation.rounds').fill('many');
    await organiser.field('federation.secure_sum.cohort_min').fill('2');
    await organiser.id('create').click();
    for (const path of ['federation.rounds', 'federation.secure_sum.cohort_min']) {
      await expect(organiser.field(path)).toHaveAttribute('aria-invalid', 'true');
      await expect(page.locator(`#task-${path.replaceAll('.', '-')}-fault`)).not.toBeEmpty();
    }
    await expect(organiser.id('created')).toBeHidden();
    await organiser.field('federation.rounds').fill('3');
    // One alone is no sum.
    await organiser.field('form.secure').uncheck();
    await organiser.field('federation.open.count_min').fill('1');
    await organiser.field('federation.upload.count_min').fill('1');
    await organiser.id('create').click();
    return organiser.createdLink();
  });
  const id = federationOf(link);

  await test.step('the link works for somebody else, and the federation runs to its end', async () => {
    const other = await browser.newContext();
    const join = new JoinPage(await other.newPage());
    await join.open(link);
    await expect(join.page.getByRole('heading', { level: 1 })).toHaveText('Digits of the form');
    await join.chooseBuiltin(13, 60);
    await join.start();
    await expect(join.id('finished')).toBeVisible({ timeout: 90_000 });
    await other.close();
  });

  await test.step('it can be watched', async () => {
    const watch = await context.newPage();
    await watch.goto(`${house.aggregator}/?f=${id}`);
    await expect(watch.getByRole('heading', { level: 1 })).toHaveText('Digits of the form');
    await expect(watch.getByTestId('status')).toHaveAttribute('data-status', 'finished');
    await expect(watch.locator('[data-testid="rounds"] tr[data-phase="done"]')).toHaveCount(3);
    await watch.close();
  });
});

test('secure sums and noise are switched by keyboard, and bring their settings with them', async ({ house, page }) => {
  const organiser = new OrganiserPage(page);
  await organiser.signIn(house.aggregator, ADMIN_TOKEN);
  const [secure, privacy, cohort, epsilon] = ['form.secure', 'form.privacy', 'federation.secure_sum.cohort_min', 'federation.privacy.epsilon'].map((path) => organiser.field(path));
  if (!secure || !privacy || !cohort || !epsilon) throw new Error('a field is missing');
  await expect(secure).toBeChecked();
  await expect(cohort).toBeVisible();
  await expect(epsilon).toBeHidden();
  await privacy.focus();
  await page.keyboard.press('Space');
  await expect(epsilon).toBeVisible();
  await secure.focus();
  await page.keyboard.press('Space');
  for (const field of [cohort, privacy, epsilon]) await expect(field).toBeHidden();
  await page.keyboard.press('Space');
  await expect(epsilon).toBeVisible();
  await organiser.field('model.url').fill(house.model);
  await organiser.id('create').click();
  const id = federationOf(await organiser.createdLink());
  expect((await house.detail(id)).summary).toMatchObject({ secure: true, privacy: { limit: 8, delta: 1e-5 } });
});

test('the dashboard follows live, and closing ends the federation for those who take part', async ({ house, page, context, browser, join }) => {
  const federation = await house.federation(ALONE);
  const watch = await context.newPage();
  await watch.goto(`${house.aggregator}/?f=${federation.id}`);
  await expect(watch.getByTestId('connection')).toHaveAttribute('data-state', 'live');
  await join.takePart(federation.link, 14, 60);
  const step = watch.locator('#dashboard').getByTestId('round-step');
  await expect.poll(async () => Number(await step.getAttribute('data-value'))).toBeGreaterThan(1);

  const organiser = new OrganiserPage(await context.newPage());
  await organiser.signIn(house.aggregator, ADMIN_TOKEN);
  const row = organiser.row(federation.id);
  await row.getByTestId('new-invite').click();
  const invite = await row.getByTestId('invite-link').inputValue();
  expect(invite).not.toBe(federation.link);
  await row.getByTestId('close').click();
  await organiser.id('close-no').click();
  expect((await house.detail(federation.id)).summary.status).toBe('running');
  await row.getByTestId('close').click();
  await organiser.id('close-yes').click();
  await expect(row.locator('.pill')).toHaveAttribute('data-status', 'closed');
  await expect(row.getByTestId('new-invite')).toBeHidden();

  await expect(watch.getByTestId('status')).toHaveAttribute('data-status', 'closed');
  await expect(join.id('finished')).toContainText('The organiser has closed this federation');
  expect(page.url()).toContain(federation.id);

  const other = await browser.newContext();
  const late = new JoinPage(await other.newPage());
  await late.page.goto(invite);
  await expect(late.trouble('federation_closed')).toContainText('Nobody can join any more');
  await other.close();
});

test('an invite is bounded, listed without its secret, and taken back', async ({ house, page, browser }) => {
  const federation = await house.federation(ALONE);
  const organiser = new OrganiserPage(page);
  await organiser.signIn(house.aggregator, ADMIN_TOKEN);
  const row = organiser.row(federation.id);
  await row.getByTestId('invites').locator('summary').click();
  await expect(row.getByTestId('invite-row')).toHaveCount(1);
  await row.getByTestId('invite-uses').fill('none');
  await row.getByTestId('new-invite').click();
  await expect(row.getByTestId('invite-uses')).toHaveAttribute('aria-invalid', 'true');
  await row.getByTestId('invite-uses').fill('2');
  await row.getByTestId('invite-expires').selectOption('604800');
  await row.getByTestId('new-invite').click();
  const link = await row.getByTestId('invite-link').inputValue();
  const line = row.getByTestId('invite-row').filter({ hasText: '0 of 2 participants joined' });
  await expect(line).toContainText('ends in 16');
  await expect(row.getByTestId('invite-list')).not.toContainText(link.replace(/.*invite=/, ''));

  await line.getByTestId('revoke-invite').click();
  await organiser.id('revoke-no').click();
  await expect(line).toHaveAttribute('data-good', 'true');
  await line.getByTestId('revoke-invite').click();
  await organiser.id('revoke-yes').click();
  await expect(line).toHaveAttribute('data-good', 'false');
  await expect(line).toContainText('revoked');

  const other = await browser.newContext();
  const late = new JoinPage(await other.newPage());
  await late.open(link);
  await late.chooseBuiltin(16, 60);
  await late.id('start').click();
  await expect(late.trouble('invite_revoked')).toContainText('revoked this invite');
  await other.close();
});

test('every fault of a task file is shown at once', async ({ house, page }) => {
  const organiser = new OrganiserPage(page);
  await organiser.signIn(house.aggregator, ADMIN_TOKEN);
  await organiser.id('tab-file').click();
  const paths = (): Promise<string[]> => organiser.id('faults').locator('li').evaluateAll((items) => items.map((item) => item.getAttribute('data-path') ?? ''));

  await test.step('no TOML at all', async () => {
    await organiser.id('task-text').fill('rounds = = 3');
    await organiser.id('create-toml').click();
    await expect(organiser.id('faults').locator('li')).toHaveCount(1);
  });
  await test.step('five faults in one file', async () => {
    await organiser.id('task-example').click();
    await expect(organiser.id('task-text')).toHaveValue(/format = 1/);
    const good = await organiser.id('task-text').inputValue();
    const faulty = good
      .replace(/^url = .*$/m, 'url = "ftp://models.example"')
      .replace(/^rounds = .*$/m, 'rounds = 0')
      .replace(/^batch = .*$/m, 'batch = "some"')
      .replace(/^directions = .*$/m, 'directions = -1')
      .replace(/^kind = "cross-entropy"$/m, 'kind = "crossed"');
    await organiser.id('task-text').fill(faulty);
    await organiser.id('create-toml').click();
    await expect(organiser.id('faults').locator('li')).not.toHaveCount(1);
    expect((await paths()).sort()).toEqual(['federation.batch', 'federation.rounds', 'loss.kind', 'model.url', 'optimizer.directions']);
    await expect(organiser.id('created')).toBeHidden();
    // Corrected, it is created: nothing that was typed is lost.
    await organiser.id('task-text').fill(good.replace(/^url = .*$/m, `url = "${house.model}"`));
    await organiser.id('create-toml').click();
    const link = await organiser.createdLink();
    const join = new JoinPage(page);
    await join.open(link);
  });
});

test('an unknown invite, an unknown federation and a link without an invite say what to do', async ({ house, join, page }) => {
  const federation = await house.federation(ALONE);
  await page.goto(federation.link.replace(/#.*/, ''));
  await expect(join.trouble('no_invite')).toContainText('ask the organiser');
  // The address differs in the fragment alone, so the browser does not load the page anew by itself.
  await page.goto(`${federation.link}x`);
  await expect(page.locator('#setup')).toBeVisible();
  await join.chooseBuiltin(15, 60);
  await join.id('start').click();
  await expect(join.trouble()).toHaveAttribute('data-where', 'open');
  expect(await join.announced(join.trouble())).toBe(true);
  expect((await house.detail(federation.id)).summary.participants).toBe(0);
  await page.goto(`${house.aggregator}/?f=no-such-federation`);
  await expect(page.getByTestId('trouble')).toHaveAttribute('data-code', 'not_found');
  await expect(page.locator('#dashboard')).toBeHidden();
  expect((await page.goto(`${house.aggregator}/f/no-such-federation/#invite=x`))?.status()).toBe(404);
  await expect(page.locator('body')).toContainText('ask the organiser for a new one');
});
