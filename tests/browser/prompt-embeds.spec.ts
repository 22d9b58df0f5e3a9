/** Soft prompts for a model behind an API that takes prompts as embeddings: the page fetches what makes them, once, and says what that means. */
import { CompletionModel, HIDDEN, softOf } from './support/completions.ts';
import { expect, test } from './support/test.ts';

const TEXTS = Array.from({ length: 16 }, (_, i) => `${i % 2 === 0 ? 'positive' : 'negative'}: the plot of film ${i} was ${i % 2 === 0 ? 'good' : 'bad'}`).join('\n');

test('a soft prompt is searched with embeddings that the page makes, from files that it fetches once', async ({ house, join, page }) => {
  const model = await CompletionModel.open();
  const federation = await house.soft(model.table, HIDDEN);
  await test.step('the page says what goes where', async () => {
    await join.open(federation.link);
    await expect(join.id('embeddings-terms')).toContainText('as if your texts themselves were sent');
    await expect(join.id('embeddings-terms')).toContainText(new URL(model.origin).host);
    await expect(page.locator('#addresses')).toHaveText('This page talks to exactly two addresses.');
    for (const words of await page.locator('[data-labels-sent]').all()) await expect(words).toBeHidden();
    expect(model.fetched).toEqual([]);
  });
  await join.paste(TEXTS);
  await join.start();
  await join.above('delivered', 1);
  await test.step('all prompts hold the texts, and a soft prompt behind the first token, but for the trial', async () => {
    const [first, ...others] = model.prompts;
    expect(softOf(first ?? [])).toEqual([]);
    expect(others.length).toBeGreaterThan(20);
    for (const rows of others) {
      expect(rows.map((row) => softOf([row]).length).slice(0, 4)).toEqual([0, 1, 1, 0]);
      expect(softOf(rows)).toHaveLength(2);
    }
    expect(new Set(others.map((rows) => JSON.stringify(softOf(rows)))).size).toBeGreaterThan(6);
    for (const { prompt, prompt_embeds: embeds } of model.asked) expect([prompt, embeds].filter((one) => one !== undefined)).toHaveLength(1);
  });
  await page.reload();
  await join.id('resume-session').click();
  await join.above('delivered', 2);
  expect(model.fetched.toSorted()).toEqual(['/files/embeddings.safetensors', '/files/tokenizer.json']);
  await model.close();
});

test('a server without the flag is told so before anything is joined', async ({ house, join }) => {
  const model = await CompletionModel.open(false);
  const federation = await house.soft(model.table, HIDDEN);
  await join.open(federation.link);
  await join.paste(TEXTS);
  await join.id('start').click();
  await expect(join.trouble('model_no_prompt_embeds')).toContainText('--enable-prompt-embeds');
  expect(model.asked).toHaveLength(2);
  await model.close();
});
