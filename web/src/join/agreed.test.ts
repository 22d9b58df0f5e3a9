import { describe, expect, it } from 'vitest';
import type { Agreement } from '../generated/Agreement';
import type { FederationSummary } from '../generated/FederationSummary';
import { agreementOf, changes, elsewhere, readAgreement } from './agreed';

const agreed: Agreement = {
  model: 'https://models.example',
  task: 'a'.repeat(64),
  aggregator: 'https://page.example',
  people: 4,
  epsilon: null,
  delta: null,
  generator: 'statistic',
};

it('the terms are those of the federation that was opened', () => {
  const summary = { task_hash: agreed.task } as FederationSummary;
  const opened = { modelUrl: agreed.model, summary, sum: { people: 4, cohort: 5, groups: 1 }, noise: null, task: { generator: { kind: 'statistic' } } };
  expect(agreementOf(opened, agreed.aggregator)).toEqual(agreed);
  const other = agreementOf({ ...opened, sum: null, noise: { epsilon: 8, delta: 1e-5, examples: false }, task: {} }, agreed.aggregator);
  expect(other).toEqual({ ...agreed, people: null, epsilon: 8, delta: 1e-5, generator: '' });
});

describe('what has changed', () => {
  it('is nothing where all is the same', () => {
    expect(changes(agreed, { ...agreed })).toEqual([]);
  });
  it('names the model’s address first, the old one and the new', () => {
    const found = changes(agreed, { ...agreed, model: 'https://other.example', task: 'b'.repeat(64) });
    expect(found[0]).toEqual({ what: 'The model', before: 'https://models.example', now: 'https://other.example' });
    expect(found).toHaveLength(2);
  });
  it('is every term by itself', () => {
    const others: Partial<Agreement>[] = [{ task: 'c' }, { aggregator: 'https://b.example' }, { people: 3 }, { people: null }, { epsilon: 8, delta: 1e-5 }, { generator: 'frame' }];
    for (const other of others) expect(changes(agreed, { ...agreed, ...other })).toHaveLength(1);
    expect(changes(agreed, { ...agreed, people: null })[0]).toMatchObject({ before: 'only sums over at least 4 people', now: 'each list of numbers by itself' });
  });
  it('is everything where no note was made', () => {
    expect(changes(null, agreed)).toHaveLength(6);
    expect(changes(null, agreed)[0]).toEqual({ what: 'The model', before: 'not noted', now: 'https://models.example' });
  });
});

it('a note that does not parse counts as none', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  expect(readAgreement(bytes(JSON.stringify(agreed)))).toEqual(agreed);
  for (const bad of [undefined, bytes(''), bytes('{'), bytes('null'), bytes('7'), bytes('{"model":1}')]) expect(readAgreement(bad)).toBeNull();
});

describe('a model at another host', () => {
  it('is named as such', () => {
    expect(elsewhere('https://models.example/v1', 'https://page.example', false)).toContain('not the organiser’s own host');
    expect(elsewhere('https://page.example:8701', 'https://page.example', false)).toBeNull();
  });
  it('that only the link names is pointed out even at the same host', () => {
    expect(elsewhere('http://127.0.0.1:9999', 'http://127.0.0.1:8700', true)).toContain('if you did not choose 127.0.0.1:9999 yourself');
  });
});
