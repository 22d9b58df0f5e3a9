import { describe, expect, it } from 'vitest';
import { embeddingsFrom, fill, inputsOf, sendsLabels } from './inputs';

const pages = import.meta.glob<string>(['../../*.html'], { query: '?raw', import: 'default', eager: true });

describe('the kind of inputs', () => {
  it('is that of the task, and images where it says nothing', () => {
    expect(inputsOf({ model: { input: { kind: 'text' } } })).toBe('texts');
    for (const task of [{ model: { input: { kind: 'image' } } }, { model: { input: { height: 3 } } }, {}, null, undefined, 'x']) expect(inputsOf(task)).toBe('images');
  });
  it('knows from where embeddings come, if any are sent', () => {
    const task = (kind: string, url: unknown) => ({ generator: { kind }, model: { dialect: 'openai', input: { kind: 'text' }, openai: { prompt_embeds: { url } } } });
    expect(embeddingsFrom(task('soft', 'https://h/models/tiny'))).toBe('https://h/models/tiny');
    for (const other of [task('discrete', 'https://h'), task('soft', 'nonsense'), task('soft', 1), {}, null, undefined, 'x']) expect(embeddingsFrom(other)).toBeUndefined();
  });
  it('knows whether the labels’ words go with each text', () => {
    const task = (dialect: string, kind: string) => ({ model: { dialect, huggingface: { task: kind } } });
    for (const sent of [task('open-inference', ''), task('huggingface', 'fill-mask'), {}, null, undefined, 'x']) expect(sendsLabels(sent)).toBe(true);
    for (const unsent of [task('openai', ''), task('huggingface', 'text-classification')]) expect(sendsLabels(unsent)).toBe(false);
  });
  it('gives things their names', () => {
    expect(fill('the {prompt} on {items}', 'images')).toBe('the pattern on pictures');
    expect(fill('the {prompt} on {items}', 'texts')).toBe('the prompt on texts');
    expect(fill('{first} stays', 'texts')).toBe('{first} stays');
  });
  it('has a name for every noun of the pages', () => {
    for (const html of Object.values(pages)) {
      for (const [, noun = ''] of html.matchAll(/data-noun="([^"]*)"/g)) for (const inputs of ['images', 'texts'] as const) expect(fill(`{${noun}}`, inputs)).not.toContain('{');
      for (const [, inputs] of html.matchAll(/data-inputs="([^"]*)"/g)) expect(['images', 'texts']).toContain(inputs);
    }
  });
});
