/** Turns the form's texts into a task, and assigns a task's faults to the fields. Pure. */
import type { CreateFederation } from '../generated/CreateFederation';
import type { Fault } from '../generated/Fault';
import { FIELDS, type Field } from './fields';

export type Json = string | number | boolean | Json[] | { [key: string]: Json };

/** A list as people type it: separated by lines, or else by commas. */
export function splitList(text: string): string[] {
  return text
    .split(text.includes('\n') ? '\n' : ',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/**
 * One field's value. Text that is not a number stays text, so that the server says what is wrong with it; null means
 * that the setting keeps its default.
 */
export function fieldValue(field: Field, typed: string): Json | null {
  const text = typed.trim();
  switch (field.kind) {
    case 'flag':
      return text === 'true';
    case 'list':
      return splitList(typed);
    case 'words': {
      const words = splitList(typed);
      return words.length > 0 ? words : null;
    }
    case 'candidates': {
      const words = splitList(typed).filter((word, i, all) => all.indexOf(word) === i);
      return words.length > 0 ? ['', ...words] : null;
    }
    case 'size': {
      if (text === '') return null;
      const parts = text.split(/\s*[×x*,]\s*/i).map(Number);
      return parts.every((part) => Number.isFinite(part)) ? parts : text;
    }
    case 'whole':
    case 'number': {
      if (text === '') return null;
      const value = Number(text.replace(',', '.'));
      return Number.isFinite(value) ? value : text;
    }
    case 'paragraph':
      return text;
    case 'text':
    case 'choice':
      return text === '' ? null : text;
  }
}

/**
 * A field's value after the kind of inputs was changed: the example for the new kind, unless the person has typed something
 * other than the example for the old kind.
 */
export function valueFor(field: Field, isText: boolean, typed: string): string {
  const [before, after] = [field.value, field.texts ?? field.value];
  if (typed === before || typed === after) return isText ? after : before;
  return typed;
}

/** Does this field's condition hold, and that of the field that it depends on? */
export function applies(field: Field, valueOf: (path: string) => string): boolean {
  return [field.when, field.and].every((condition) => {
    if (condition === undefined) return true;
    const [path, ...values] = condition;
    const on = FIELDS.get(path);
    return values.includes(valueOf(path)) && (on === undefined || applies(on, valueOf));
  });
}

/** The task: each field's value at its path. Fields whose condition does not hold are left out. */
export function buildTask(fields: Iterable<Field>, valueOf: (path: string) => string): { [key: string]: Json } {
  const task: { [key: string]: Json } = { format: 1 };
  for (const field of fields) {
    if (!applies(field, valueOf)) continue;
    const on = fieldValue(field, valueOf(field.path));
    // Left out, a setting would have its default.
    const [path, value] = field.formOnly !== true ? [field.path, on] : [field.off, on === false ? false : null];
    if (path === undefined || value === null) continue;
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    let place = task;
    for (const key of keys) {
      const inner = place[key];
      if (typeof inner === 'object' && !Array.isArray(inner)) place = inner;
      else {
        const made: { [key: string]: Json } = {};
        place[key] = made;
        place = made;
      }
    }
    place[last] = value;
  }
  return task;
}

/** A task file's text as a request; JSON is recognised by its first character. Throws if it does not parse as JSON. */
export function fileRequest(text: string): CreateFederation {
  if (text.trimStart().startsWith('{')) return { task: JSON.parse(text) as unknown, task_toml: null };
  return { task: null, task_toml: text };
}

/** Faults by the field that they belong to; faults without a field are under null. */
export function faultsByField(faults: readonly Fault[], paths: ReadonlySet<string>): Map<string | null, Fault[]> {
  const sorted = new Map<string | null, Fault[]>();
  for (const fault of faults) {
    // `data.labels[3]` and `data.inner.0` belong to their list's field.
    let path: string | null = fault.path.replace(/\[.*$/, '');
    while (path !== null && !paths.has(path)) path = path.includes('.') ? path.slice(0, path.lastIndexOf('.')) : null;
    sorted.set(path, [...(sorted.get(path) ?? []), fault]);
  }
  return sorted;
}
