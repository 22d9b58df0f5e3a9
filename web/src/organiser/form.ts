/** The task's form, built from the list of fields; each fault is shown beside its field. */
import type { Fault } from '../generated/Fault';
import { byId, h } from '../lib/dom';
import { fromPublicText } from './candidates';
import { FIELDS, GROUPS, INPUTS, type Field, type Group } from './fields';
import { applies, buildTask, faultsByField, valueFor, type Json } from './task';

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

const idOf = (path: string): string => `task-${path.replaceAll('.', '-')}`;

function control(field: Field): Control {
  const id = idOf(field.path);
  const common = { id, name: field.path, 'data-testid': id, 'data-path': field.path, 'aria-describedby': `${id}-help ${id}-fault` };
  switch (field.kind) {
    case 'paragraph':
    case 'list':
    case 'words':
    case 'candidates': {
      const area = h('textarea', { ...common, rows: field.kind === 'paragraph' ? 4 : 2 });
      area.value = field.value;
      return area;
    }
    case 'choice':
      return h('select', common, ...(field.options ?? []).map(([value, words]) => h('option', { value, selected: value === field.value }, words)));
    case 'flag':
      return h('input', { ...common, type: 'checkbox', checked: field.value === 'true' });
    case 'whole':
    case 'number':
      return h('input', { ...common, type: 'text', inputmode: field.kind === 'whole' ? 'numeric' : 'decimal', autocomplete: 'off', value: field.value });
    case 'text':
    case 'size':
      return h('input', { ...common, type: 'text', autocomplete: 'off', value: field.value });
  }
}

function row(field: Field): HTMLElement {
  const id = idOf(field.path);
  const input = control(field);
  const label = h('label', { for: id, class: field.kind === 'flag' ? 'check' : null }, ...(field.kind === 'flag' ? [input, field.label] : [field.label, input]));
  return h(
    'div',
    { class: field.wide === true ? 'field wide' : 'field', 'data-field': field.path },
    label,
    field.kind === 'candidates' && fromPublicText(input as HTMLTextAreaElement, `${id}-fault`),
    h('p', { class: 'small', id: `${id}-help` }, field.help ?? null),
    h('p', { class: 'fault', id: `${id}-fault` }),
  );
}

function section(group: Group): HTMLElement {
  const fields = h('div', { class: 'fields' }, ...group.fields.map(row));
  if (group.more === true) return h('details', {}, h('summary', {}, group.title), fields);
  return h('fieldset', { class: 'group' }, h('legend', {}, group.title), fields);
}

export class TaskForm {
  private readonly form = byId('task-form', HTMLFormElement);

  constructor(onSubmit: (task: Json) => void) {
    const submit = h('button', { type: 'submit', class: 'primary big', 'data-testid': 'create' }, 'Create the federation');
    this.form.append(...GROUPS.map(section), h('p', { class: 'actions create-row' }, submit));
    this.control(INPUTS).addEventListener('change', () => this.otherInputs());
    this.form.addEventListener('input', () => this.conditions());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      onSubmit(buildTask(FIELDS.values(), (path) => this.value(path)));
    });
    this.conditions();
  }

  private control(path: string): Control {
    return byId(idOf(path), HTMLElement) as Control;
  }

  private value(path: string): string {
    const input = this.control(path);
    return input instanceof HTMLInputElement && input.type === 'checkbox' ? String(input.checked) : input.value;
  }

  private conditions(): void {
    for (const field of FIELDS.values()) {
      const row = this.control(field.path).closest<HTMLElement>('.field');
      if (row !== null) row.hidden = !applies(field, (path) => this.value(path));
    }
    for (const group of this.form.querySelectorAll<HTMLElement>('fieldset.group, details')) group.hidden = group.querySelector('.field:not([hidden])') === null;
  }

  /** Pictures and texts have different examples to start from. */
  private otherInputs(): void {
    const isText = this.value(INPUTS) === 'text';
    for (const field of FIELDS.values()) {
      const input = this.control(field.path);
      if (field.texts !== undefined) input.value = valueFor(field, isText, input.value);
    }
    this.conditions();
  }

  /** Puts each fault beside its field, opens what hides one, and gives those that belong to none. */
  showFaults(faults: readonly Fault[]): Fault[] {
    const sorted = faultsByField(faults, new Set(FIELDS.keys()));
    let first: Control | null = null;
    for (const path of FIELDS.keys()) {
      const own = sorted.get(path) ?? [];
      const input = this.control(path);
      byId(`${idOf(path)}-fault`, HTMLElement).textContent = own.map((fault) => fault.message).join(' · ');
      if (own.length > 0) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
      if (own.length > 0) {
        const hiding = input.closest('details');
        if (hiding !== null) hiding.open = true;
        first ??= input;
      }
    }
    first?.focus();
    return sorted.get(null) ?? [];
  }
}
