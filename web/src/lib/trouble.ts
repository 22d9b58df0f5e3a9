/** An error as an element: what happened, what to do, and, if there is one, a button that does it. */
import { h } from './dom';

export interface Remedy {
  label: string;
  run: () => void;
}

export function troubleBox(trouble: { code: string; where: string; title: string; detail: string }, remedy: Remedy | null): HTMLElement {
  const button = remedy === null ? null : h('button', { type: 'button' }, remedy.label);
  button?.addEventListener('click', () => remedy?.run());
  return h(
    'div',
    { class: 'trouble', 'data-testid': 'trouble', 'data-code': trouble.code, 'data-where': trouble.where },
    h('h3', {}, trouble.title),
    h('p', {}, trouble.detail),
    button && h('p', { class: 'actions' }, button),
  );
}
