import { describe, expect, it } from 'vitest';
import { FIELDS, type Field } from './fields';
import { buildTask, faultsByField, fieldValue, fileRequest, splitList, valueFor } from './task';

const field = (kind: Field['kind']): Field => ({ path: 'x', label: '', kind, value: '' });
const defaults = (over: Record<string, string> = {}): ((path: string) => string) => (path) => over[path] ?? FIELDS.get(path)?.value ?? '';

it('lists are typed in lines or with commas', () => {
  expect(splitList('a, b ,, c')).toEqual(['a', 'b', 'c']);
  expect(splitList('one, two\nthree\n\n')).toEqual(['one, two', 'three']);
  expect(splitList('  ')).toEqual([]);
});

describe('a field’s value', () => {
  it('is a number where there is one, and else goes as it is, for the server to name the fault', () => {
    expect(fieldValue(field('whole'), ' 12 ')).toBe(12);
    expect(fieldValue(field('number'), '0,2')).toBe(0.2);
    expect(fieldValue(field('whole'), 'many')).toBe('many');
    expect(fieldValue(field('number'), '')).toBeNull();
  });
  it('may be a size', () => {
    for (const typed of ['24×32', '24x32', '24, 32', '24 * 32']) expect(fieldValue(field('size'), typed)).toEqual([24, 32]);
    expect(fieldValue(field('size'), 'large')).toBe('large');
  });
  it('may be a flag', () => {
    expect(fieldValue(field('flag'), 'true')).toBe(true);
    expect(fieldValue(field('flag'), 'false')).toBe(false);
  });
});

describe('the form’s task', () => {
  it('as it stands is the built-in one', () => {
    const task = buildTask(FIELDS.values(), defaults());
    expect(task).toMatchObject({
      format: 1,
      model: { url: 'http://127.0.0.1:8701', name: 'printed-digits', input: { height: 32, width: 32 }, output: { classes: 10 } },
      data: { labels: [...'0123456789'], inner: [32, 32], invert: false },
      federation: { rounds: 100, secure_sum: { cohort_min: 3 }, combine: 'mean' },
    });
    expect(task).not.toHaveProperty('form');
    expect(task).not.toHaveProperty('federation.privacy');
    expect(task).not.toHaveProperty('federation.upload');
    expect(JSON.stringify(task)).not.toContain('null');
  });
  it('has secure sums, and noise only with them', () => {
    const made = (over: Record<string, string>): unknown => buildTask(FIELDS.values(), defaults(over))['federation'];
    expect(made({ 'form.privacy': 'true', 'federation.privacy.epsilon': '4' })).toMatchObject({ secure_sum: { cohort_min: 3, groups: 1 }, privacy: { epsilon: 4, delta: 1e-5 }, clip: 10 });
    const plain = made({ 'form.secure': 'false', 'form.privacy': 'true' });
    // In so many words: a federation that says nothing gets secure sums.
    expect(plain).toMatchObject({ open: { count_min: 3 }, upload: { count_min: 2 }, secure_sum: false });
    // Noise was chosen before secure sums were switched off: its field is out of sight, and so is its condition.
    for (const gone of ['privacy', 'clip']) expect(plain).not.toHaveProperty(gone);
    expect(made({ 'federation.combine': 'trimmed-mean' })).toMatchObject({ combine: 'trimmed-mean', trim: 0.2 });
  });
  it('is one of texts where these are chosen, without what pictures have', () => {
    const isText = { 'model.input.kind': 'text', 'text.words': 'World, Sports', 'data.labels': '1, 2' };
    const task = buildTask(FIELDS.values(), defaults(isText));
    expect(task).toMatchObject({
      model: { input: { kind: 'text' } },
      data: { labels: ['1', '2'], holdout: 0.2 },
      text: { words: ['World', 'Sports'], template: 'This text is about {}.' },
      generator: { positions: 4 },
      optimizer: { draws: 20 },
    });
    expect(Object.keys(task['model'] as object)).toEqual(['input', 'dialect', 'url', 'name', 'output']);
    expect(Object.keys(task['data'] as object)).toEqual(['labels', 'holdout']);
    expect((task['generator'] as { candidates: string[] }).candidates.slice(0, 2)).toEqual(['', 'news']);
    for (const gone of ['mapping', 'generator.kind', 'optimizer.kind', 'text.input', 'generator.place', 'model.input.height']) expect(task).not.toHaveProperty(gone);
    const masked = buildTask(FIELDS.values(), defaults({ ...isText, 'text.words': '', 'text.template': '', 'text.input': '{text} It was <mask>.' }));
    expect(masked['text']).toEqual({ input: '{text} It was <mask>.' });
  });
  it('has of a dialect only what is its own', () => {
    const made = (over: Record<string, string>) => buildTask(FIELDS.values(), defaults(over)) as { model: Record<string, unknown>; text?: Record<string, unknown> };
    const chat = made({ 'model.input.kind': 'text', 'model.dialect': 'openai', 'text.input': '{text} Topic:' });
    expect(chat.model).toMatchObject({ dialect: 'openai', openai: { api: 'chat', instruction: '' } });
    expect(chat.model['input']).toEqual({ kind: 'text' });
    expect(chat.text).not.toHaveProperty('template');
    expect(made({ 'model.dialect': 'huggingface' }).model).toMatchObject({ huggingface: { task: 'zero-shot-image-classification' }, input: { encoding: 'png' } });
    expect(made({ 'model.dialect': 'on-device', 'model.on_device.sha256': 'ab' }).model).toMatchObject({ on_device: { sha256: 'ab' } });
    expect(made({}).model).not.toHaveProperty('price');
    expect(made({ 'form.price': 'true', 'model.price.per_call': '0.01' }).model['price']).toMatchObject({ currency: 'USD', budget: 1, per_call: 0.01 });
  });
  it('leaves out what does not apply', () => {
    const task = buildTask(FIELDS.values(), defaults({ 'generator.kind': 'frame', 'model.input.datatype': 'FP32' }));
    expect(task['generator']).toEqual({ kind: 'frame', inner: 24 });
    expect(task).toMatchObject({ model: { input: { low: 0, high: 1 } } });
    expect(buildTask(FIELDS.values(), defaults())['model']).not.toHaveProperty('input.low');
    expect(buildTask(FIELDS.values(), defaults({ 'optimizer.kind': 'spsa-gc' }))['optimizer']).toEqual({ kind: 'spsa-gc', directions: 15 });
  });
});

it('another kind of inputs changes the examples, and nothing that was typed', () => {
  const name = FIELDS.get('name');
  if (name === undefined) throw new Error('no name');
  expect(valueFor(name, true, name.value)).toBe('Sort news by topic');
  expect(valueFor(name, false, 'Sort news by topic')).toBe(name.value);
  expect(valueFor(name, true, 'My own')).toBe('My own');
  expect(fieldValue(field('candidates'), 'a, b, a')).toEqual(['', 'a', 'b']);
  expect(fieldValue(field('candidates'), ' ')).toBeNull();
});

it('faults find their fields, the nearest that there is', () => {
  const faults = ['model.url', 'data.labels[3]', 'federation.epochs', 'model', 'data.inner.0', 'file'].map((path) => ({ path, message: 'no' }));
  const sorted = faultsByField(faults, new Set(FIELDS.keys()));
  expect([...sorted].map(([path, own]) => [path, own.map((fault) => fault.path)])).toEqual([
    ['model.url', ['model.url']],
    ['data.labels', ['data.labels[3]']],
    [null, ['federation.epochs', 'model', 'file']],
    ['data.inner', ['data.inner.0']],
  ]);
});

it('a file is TOML, or JSON', () => {
  expect(fileRequest('name = "x"')).toEqual({ task: null, task_toml: 'name = "x"' });
  expect(fileRequest(' {"name":"x"}')).toEqual({ task: { name: 'x' }, task_toml: null });
  expect(() => fileRequest('{"name":')).toThrow();
});
