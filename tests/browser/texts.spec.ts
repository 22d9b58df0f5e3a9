/** Federations of texts: owners choose or paste them, a prompt of words is found, and what is wrong is named. */
import type { Page } from '@playwright/test';
import { JoinPage } from './pages/join.ts';
import { OrganiserPage } from './pages/organiser.ts';
import { ADMIN_TOKEN, ALONE } from './support/house.ts';
import { file, zip, type Upload } from './support/pictures.ts';
import { errorsOf, expect, test } from './support/test.ts';

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true };

/** `count` reviews as rows of a label and a text. */
function reviews(count: number, row: (label: string, text: string) => string): string {
  return Array.from({ length: count }, (_, i) => row(i % 2 === 0 ? 'positive' : 'negative', `the plot of film ${i} was ${i % 2 === 0 ? 'good' : 'bad'}`)).join('\n');
}

function csv(count: number): Upload {
  return file('reviews.csv', `label,text\n${reviews(count, (label, text) => `${label},"${text}, all in all"`)}\n`, 'text/csv');
}

/** What the page sends to the model, as text. */
function questionsOf(page: Page): string[] {
  const sent: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/infer')) sent.push(request.postDataBuffer()?.toString('latin1') ?? '');
  });
  return sent;
}

async function overflows(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}

test('two owners of texts, one with a file, one who pastes on a phone, find a prompt together', async ({ house, join, page, browser }) => {
  const federation = await house.reviews({ 'federation.open.count_min': 2, 'federation.upload.count_min': 2, 'federation.open.time_min_ms': 0, 'federation.upload.time_min_ms': 0 });
  const phone = await browser.newContext(PHONE);
  const other = new JoinPage(await phone.newPage());
  const errors = errorsOf(other.page);
  const questions = questionsOf(page);

  await test.step('the page says what goes where', async () => {
    await join.open(federation.link);
    await expect(join.id('tab-draw')).toBeHidden();
    await expect(join.id('host-model')).toContainText('your texts, word for word');
    await expect(join.id('host-model')).toContainText('great, terrible');
    await expect(join.id('model-learns')).toBeVisible();
    await expect(join.id('organiser-learns')).not.toContainText('picture');
  });
  await test.step('a zip of a table and JSON lines is shown with its labels', async () => {
    const lines = reviews(6, (label, text) => JSON.stringify({ label, sentence1: text, sentence2: 'so they say' }));
    await join.files(zip({ 'a/train.csv': csv(16).buffer, 'b/more.jsonl': Buffer.from(lines), 'LICENCE.md': Buffer.from('free') }));
    await expect(join.id('data-report')).toHaveAttribute('data-value', '22');
    await expect(join.id('data-report').locator('.counts li').first()).toHaveAttribute('title', /learn from/);
    await join.reports('the plot of film 0 was good, all in all');
    await expect(join.id('data-report').locator('.pair li').last()).toHaveText('so they say');
    await join.reports('LICENCE.md');
    await expect(page.locator('#agree')).toContainText(/about 96 questions, \d/);
  });
  await other.open(federation.link);
  await other.paste(reviews(20, (label, text) => `${label}: ${text}`));
  await expect(other.id('data-report')).toHaveAttribute('data-value', '20');
  expect(await overflows(other.page)).toBe(false);
  await Promise.all([join.start(), other.start()]);

  await test.step('all rounds are done, and both hold the same prompt', async () => {
    for (const owner of [join, other]) {
      await expect(owner.id('finished')).toContainText('the prompt is final');
      await expect(owner.running('delivered')).toHaveAttribute('data-value', '3');
      await expect(owner.id('pictures').locator('.example').first()).toContainText('the plot of film');
    }
    const prompt = await join.id('prompt').innerText();
    expect(prompt).toMatch(/^((film|acting|plot|all) ){0,2}\{text\} It was <mask>\.$/);
    await expect(other.id('prompt')).toHaveText(prompt);
    expect((await house.detail(federation.id)).summary).toMatchObject({ status: 'finished', step: 3 });
    expect(await overflows(other.page)).toBe(false);
  });
  await test.step('the model got texts and label words, and no text’s label', async () => {
    // How many texts one request holds is the pace's choice.
    expect(questions.join('').split('the plot of film').length - 1).toBeGreaterThan(10);
    expect(questions.some((body) => body.includes('the plot of film 3 was bad'))).toBe(true);
    for (const body of questions) {
      expect(body).toContain('great');
      expect(body).toContain('terrible');
      expect(body).not.toMatch(/positive|negative/);
    }
  });
  expect(errors).toEqual([]);
  await phone.close();
});

test('bad texts are named with file and row; by keyboard, good ones train, and a reload goes on', async ({ house, join, page }) => {
  const federation = await house.reviews(ALONE);
  await join.open(federation.link);
  const cases = [
    { files: [file('reviews.csv', 'label,text\npositive,a b\nnegative,c,d\n', 'text/csv')], code: 'ragged_row', says: /reviews\.csv, row 3: 3 columns where 2/ },
    { files: [file('a.jsonl', '{"label": "positive", "text": "a b"}\n{"label": "negative"')], code: 'json_line', says: /a\.jsonl, row 2/ },
    { files: [file('thesis.pdf', '%PDF-1.7 …', 'application/pdf')], code: 'wrong_kind', says: /thesis\.pdf/ },
    { files: [file('stars.tsv', 'label\ttext\n5\ta b\n1\tc d\n')], code: 'unknown_labels', says: /"5", "1"; it knows "positive", "negative"/ },
    { files: [zip({ 'x.png': Buffer.from('x'), 'y.png': Buffer.from('y') })], code: 'empty_data', says: /CSV, TSV or JSON lines/ },
  ];
  for (const { files, code, says } of cases) {
    await join.files(files);
    await expect(join.trouble(code)).toContainText(says);
    expect(await join.announced(join.trouble(code))).toBe(true);
    await expect(join.id('start')).toBeDisabled();
  }
  await join.paste('positive it was good\nnegative');
  await expect(join.trouble('no_text')).toContainText('row 2');

  // Tabs by arrow, then into the field.
  await join.id('tab-files').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Tab');
  await expect(join.id('paste-text')).toBeFocused();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(`${reviews(12, (label, text) => `${label}\t${text}`)}\nmaybe this one`);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(join.id('data-report')).toHaveAttribute('data-value', '12');
  await join.id('data-report').locator('summary').click();
  await join.reports(/row 13: its label "maybe" is none/);
  await join.start();
  const delivered = await join.above('delivered', 0);
  await page.reload();
  await join.id('resume-session').click();
  await join.above('delivered', delivered);
});

test('an organiser fills in a form for texts, with words of public text, and it opens', async ({ house, page, join }) => {
  const organiser = new OrganiserPage(page);
  await organiser.signIn(house.aggregator, ADMIN_TOKEN);
  await organiser.field('model.input.kind').selectOption('text');
  for (const gone of ['model.input.height', 'generator.kind', 'data.invert']) await expect(organiser.field(gone)).toBeHidden();
  const settings = { 'model.url': await house.textModel(), 'model.name': 'masked', 'data.labels': 'positive, negative', 'text.words': 'great, terrible', 'text.template': 'no place for a word' };
  for (const [path, value] of Object.entries(settings)) await organiser.field(path).fill(value);
  await organiser.id('candidates-file').setInputFiles(file('public.txt', 'the world cup of new york\n'.repeat(6)));
  await expect(organiser.field('generator.candidates')).toHaveValue(/york/);
  await organiser.field('form.secure').uncheck();
  await organiser.id('create').click();
  await expect(page.locator('#task-text-template-fault')).toContainText('{}');
  await expect(organiser.id('created')).toBeHidden();
  await organiser.field('text.template').fill('');
  await organiser.field('text.input').fill('{text} It was <mask>.');
  await organiser.id('create').click();
  await join.open(await organiser.createdLink());
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sort news by topic');
  await expect(join.id('tab-paste')).toBeVisible();
});
