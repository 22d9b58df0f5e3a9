/** Bad data and a bad model API: a clear error where the person looks, and nothing is lost. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import { FaultyModel, type Fault } from './support/faulty.ts';
import { ALONE } from './support/house.ts';
import { csv, file, folders, idx, png, zip } from './support/pictures.ts';
import { expect, test } from './support/test.ts';

test('data that cannot be used are refused with what to do', async ({ house, join }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  const [images, labels] = idx(20, 2);
  if (images === undefined || labels === undefined) throw new Error('no pair');
  const cases = [
    { name: 'wrong file type', files: [file('thesis.pdf', '%PDF-1.7 …', 'application/pdf')], code: 'empty_data', says: /folder per class|CSV|IDX/ },
    { name: 'a text that calls itself a zip', files: [file('pictures.zip', 'no archive')], code: 'empty_data', says: /folder per class/ },
    { name: 'an empty zip', files: [zip({})], code: 'empty_data', says: /no labelled example/ },
    { name: 'a picture that does not decode', files: [zip({ '1/broken.png': png(1).subarray(0, 40), '2/broken.png': png(2).subarray(0, 40) })], code: 'undecodable_picture', says: /save it again as PNG|remove/ },
    { name: 'a table with a ragged row', files: [csv(['1', '2', '1', '2'], 3)], code: 'ragged_row', says: /row 4: 144 columns where 145.*correct or delete the row/ },
    { name: 'labels that nobody knows', files: [csv(['cat', 'dog', 'cat', 'dog'])], code: 'unknown_labels', says: /Rename the folders or labels/ },
    { name: 'an image file without its labels', files: [images], code: 'empty_data', says: /IDX pair/ },
  ];
  for (const { name, files, code, says } of cases) {
    await test.step(name, async () => {
      await join.files(files);
      const trouble = join.trouble(code);
      await expect(trouble).toBeVisible();
      await expect(trouble).toHaveAttribute('data-where', 'data');
      await expect(trouble).toContainText(says);
      expect(await join.announced(trouble)).toBe(true);
      await expect(join.id('start')).toBeDisabled();
      await expect(join.id('data-report')).toBeHidden();
    });
  }
  await test.step('good data afterwards are taken', async () => {
    await join.files(zip(folders(['0', '1'], 5)));
    await expect(join.id('data-report')).toHaveAttribute('data-value', '10');
    await expect(join.trouble()).toHaveCount(0);
    await expect(join.id('start')).toBeEnabled();
  });
});

test('what is partly good is used, and what was left out is named', async ({ house, join }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  const entries = { ...folders(['0', '1'], 5), '1/broken.png': Buffer.from('no picture'), 'cat/1.png': png(3), 'notes.txt': Buffer.from('text') };
  await join.files(zip(entries));
  await expect(join.id('data-report')).toHaveAttribute('data-value', '10');
  await join.id('data-report').locator('summary').click();
  await join.reports('1/broken.png');
  await join.reports('cat/1.png');
  await join.reports('notes.txt');
});

test('a single class is taken with a warning', async ({ house, join }) => {
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  await join.files(zip(folders(['4'], 8)));
  await expect(join.id('data-report').locator('.warning')).toContainText('add examples of another class');
});

test('of more than 10,000 files 10,000 are used, and it is said', async ({ house, join }) => {
  test.setTimeout(240_000);
  const federation = await house.federation(ALONE);
  await join.open(federation.link);
  const folder = await mkdtemp(path(tmpdir(), 'fed-bbpt-many-'));
  const pictures = Array.from({ length: 100 }, (_, i) => png(i));
  for (const label of ['0', '1']) {
    mkdirSync(path(folder, label));
    for (let i = 0; i < 5_050; i += 1) writeFileSync(path(folder, label, `${i}.png`), pictures[i % 100] ?? '');
  }
  await join.id('tab-files').click();
  await join.id('pick-folder').setInputFiles(folder);
  await expect(join.id('data-report')).toHaveAttribute('data-value', '10000', { timeout: 200_000 });
  await join.reports('10100 usable files were chosen; 10000 of them are used');
  await rm(folder, { recursive: true });
});

test('a model API that cannot be used is said before anything begins', async ({ house, join }) => {
  const model = await FaultyModel.open(house.model);
  const federation = await house.federation({ ...ALONE, 'model.url': model.url });
  await join.open(federation.link);
  await join.chooseBuiltin(11, 60);
  model.fault = 'no-cors';
  await join.id('start').click();
  const trouble = join.trouble('model_cors');
  await expect(trouble).toBeVisible();
  await expect(trouble).toContainText(`--allow-origin ${house.aggregator}`);
  expect(await join.announced(trouble)).toBe(true);
  // Nobody has joined a federation that they cannot help.
  expect((await house.detail(federation.id)).summary.participants).toBe(0);
  model.fault = null;
  await join.start();
  await join.above('delivered', 0);
  await model.close();
});

/** Each fault of the API, the code that the page gives it, and what the text says. */
const FAULTS: { fault: Fault; code: string; says: RegExp }[] = [
  { fault: 'down', code: 'model_unreachable', says: /not running, or not reachable/ },
  { fault: 'no-cors', code: 'model_cors', says: /--allow-origin/ },
  { fault: '429', code: 'model_busy', says: /busy or limits the rate/ },
  { fault: '500', code: 'model_server_error', says: /status 500.*server's log/ },
  { fault: '401', code: 'model_unauthorized', says: /enter a valid API key/ },
  { fault: 'html', code: 'model_not_this_protocol', says: /check the model API's address/ },
  { fault: 'shape', code: 'model_wrong_shape', says: /shape .* where .* was expected/ },
  { fault: 'nan', code: 'model_not_finite', says: /NaN or infinity/ },
];

test('a model API that fails on the way pauses the training, and nothing is lost', async ({ house, join }) => {
  test.setTimeout(360_000);
  const model = await FaultyModel.open(house.model);
  const federation = await house.federation({ ...ALONE, 'model.url': model.url });
  await join.takePart(federation.link, 12, 60);
  await join.above('delivered', 0);
  const membership = await join.storedMembership(federation.id);
  for (const { fault, code, says } of FAULTS) {
    await test.step(fault, async () => {
      await model.set(fault);
      const trouble = join.trouble();
      await expect(trouble).toBeVisible({ timeout: 90_000 });
      await expect.soft(trouble).toHaveAttribute('data-code', code);
      await expect.soft(trouble).toContainText(says);
      expect(await join.announced(trouble)).toBe(true);
      await expect(join.running('activity')).toHaveAttribute('data-value', 'paused');
      const delivered = await join.value('delivered');
      const queries = await join.value('queries');
      await model.set(null);
      await join.id('resume').click();
      await join.above('delivered', delivered);
      expect(await join.value('queries')).toBeGreaterThan(queries);
      await expect(trouble).toHaveCount(0);
    });
  }
  expect(await join.storedMembership(federation.id)).toEqual(membership);
  const { rounds, summary } = await house.detail(federation.id);
  expect(summary.participants).toBe(1);
  expect(rounds.filter((round) => round.phase === 'done').every((round) => round.delivered === 1)).toBe(true);
  await model.close();
});
