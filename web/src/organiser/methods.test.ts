import { describe, expect, it } from 'vitest';
import { DIALECT_HELP as DIALECTS } from '../generated/dialect-help';
import { IMAGE_FORMS, OPTIMIZER_FORMS, TEXT_FORMS } from '../generated/method-forms';
import { IMAGE_GENERATORS, OPTIMIZERS, TEXT_GENERATORS } from '../generated/methods';
import { taskInWords } from '../lib/task';
import { FIELDS } from './fields';
import { applies } from './task';

const sources = import.meta.glob<string>(['../**/*.ts', '!../generated/**', '!../**/*.test.ts', '!../dev/**'], { query: '?raw', import: 'default', eager: true });
const value = (over: Record<string, string>) => (path: string): string => over[path] ?? FIELDS.get(path)?.value ?? '';
/** The fields below `section` that are shown. */
const shown = (section: string, over: Record<string, string>): string[] => [...FIELDS.values()].filter((field) => field.path.startsWith(section) && applies(field, value(over))).map(({ path }) => path);

describe('what can be chosen by name', () => {
  it('has its own fields in the form, and nobody else’s', () => {
    const all = DIALECTS.flatMap(({ fields }) => fields);
    expect(all.length).toBeGreaterThan(3);
    for (const { name, fields } of DIALECTS) {
      const there = shown('model.', { 'model.dialect': name });
      for (const { path } of all) expect(there.includes(path), `${path} of ${name}`).toBe(fields.some((field) => field.path === path));
    }
    for (const { name, about } of IMAGE_FORMS) expect(shown('generator.', { 'generator.kind': name })).toEqual(['generator.kind', ...about.fields.map(({ path }) => path)]);
    for (const { name, about } of OPTIMIZER_FORMS.filter(({ about }) => about.choice !== null && about.fields.length > 1)) expect(shown('optimizer.', { 'optimizer.kind': name })).toEqual(['optimizer.kind', ...about.fields.map(({ path }) => path)]);
    expect(shown('generator.', { 'model.input.kind': 'text' })).toEqual(TEXT_FORMS[0].about.fields.map(({ path }) => path));
  });
  it('has no field that tasks of texts lack', () => {
    const [own] = DIALECTS.filter(({ fields }) => fields.some((field) => field.images_only));
    if (own === undefined) throw new Error('no such dialect');
    const count = (kind: string): number => shown('model.', { 'model.dialect': own.name, 'model.input.kind': kind }).filter((path) => own.fields.some((field) => field.path === path)).length;
    expect([count('image'), count('text')]).toEqual([own.fields.length, own.fields.filter((field) => !field.images_only).length]);
  });
  it('is offered where it has words for that', () => {
    const offered = (path: string): string[] | undefined => FIELDS.get(path)?.options?.map(([name]) => name);
    expect(offered('model.dialect')).toEqual(DIALECTS.map(({ name }) => name));
    expect(offered('generator.kind')).toEqual(IMAGE_GENERATORS.map(({ name }) => name));
    expect(offered('optimizer.kind')).toEqual(['', ...OPTIMIZER_FORMS.filter(({ domain, about }) => domain === 'numbers' && about.choice !== null).map(({ name }) => name)]);
    expect(offered('optimizer.kind')).toContain(FIELDS.get('optimizer.kind')?.value);
  });
  it('is told in its own words', () => {
    for (const { name, words, tries } of OPTIMIZERS) {
      const told = new Map(taskInWords({ optimizer: { kind: name, ...(tries !== null && { [tries.setting]: 7 }) } }, 1)).get('Each participant');
      expect(told).toBe(tries === null ? words : `${words}; 7 ${tries.what} a step`);
    }
    for (const { name, words } of TEXT_GENERATORS) expect(new Map(taskInWords({ model: { input: { kind: 'text' } }, generator: { kind: name } }, 9)).get('Prompt')).toBe(`${words}; 9 numbers`);
  });
  it('is compared by name nowhere', () => {
    const names = [...DIALECTS, ...IMAGE_GENERATORS, ...TEXT_GENERATORS, ...OPTIMIZERS].map(({ name }) => name).join('|');
    const compares = new RegExp(`[!=]== '(${names})'|'(${names})' [!=]==|case '(${names})'|when: \\[[^\\]]*'(${names})'`);
    expect(compares.test("generator?.kind === 'soft'")).toBe(true);
    expect(Object.keys(sources).length).toBeGreaterThan(30);
    for (const [file, text] of Object.entries(sources)) expect(compares.exec(text)?.[0], file).toBeUndefined();
  });
});
