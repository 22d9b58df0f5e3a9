/** The few functions that the pages need instead of a view library. */

type Child = Node | string | null | false | undefined;
type Attributes = Record<string, string | number | boolean | null | undefined>;

/** An element with attributes (true: present, false or null: absent) and children. Text stays text. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element with this id; its absence is a mistake in the page's HTML. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} called "${id}"`);
  return element;
}

/** The first match inside `root`; its absence is a mistake in the page's HTML. */
export function find<T extends Element>(root: ParentNode, selector: string, type: new () => T): T {
  const element = root.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} at "${selector}"`);
  return element;
}

/** Sets text only if it differs, so that screen readers hear changes and nothing else. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a number on every element with `data-show="name"` below `root`. */
export function show(root: ParentNode, name: string, text: string): void {
  for (const element of root.querySelectorAll(`[data-show="${name}"]`)) setText(element, text);
}

/** Opens a `<dialog>` and resolves to true if it was closed by the button with the value "yes". */
export function confirmWith(dialog: HTMLDialogElement): Promise<boolean> {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

/** Makes a dialog's buttons close it with their value. Forms cannot do that, because the page's policy has form-action 'none'. */
export function wireDialog(dialog: HTMLDialogElement): void {
  for (const button of dialog.querySelectorAll('button')) {
    button.addEventListener('click', () => dialog.close(button.value));
  }
}
