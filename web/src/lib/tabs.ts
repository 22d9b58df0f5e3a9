/** The tabs pattern: arrows move, Home and End jump, one tab stop for all. */
import { byId } from './dom';

export class Tabs {
  private readonly tabs: HTMLElement[];

  constructor(
    list: HTMLElement,
    private readonly onSelect: (id: string) => void = () => undefined,
  ) {
    this.tabs = [...list.querySelectorAll<HTMLElement>('[role="tab"]')];
    for (const tab of this.tabs) tab.addEventListener('click', () => this.select(tab.id));
    list.addEventListener('keydown', (event) => this.key(event));
  }

  /** Shows only these tabs. */
  offer(ids: readonly string[]): void {
    for (const tab of this.tabs) tab.hidden = !ids.includes(tab.id);
  }

  select(id: string): void {
    for (const tab of this.tabs) {
      const chosen = tab.id === id;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      byId(tab.getAttribute('aria-controls') ?? '', HTMLElement).hidden = !chosen;
    }
    this.onSelect(id);
  }

  private key(event: KeyboardEvent): void {
    const offered = this.tabs.filter((tab) => !tab.hidden);
    const at = offered.findIndex((tab) => tab === document.activeElement);
    const target = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    const next = target === undefined ? undefined : offered.at(target === offered.length ? 0 : target);
    if (next === undefined || at < 0) return;
    event.preventDefault();
    this.select(next.id);
    next.focus();
  }
}
