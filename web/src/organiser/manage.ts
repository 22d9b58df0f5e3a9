/** The organiser's federations: their invites, watching, closing, downloading. */
import type { FederationSummary } from '../generated/FederationSummary';
import { generatorPath, listFederations, type Organiser } from '../lib/api';
import { byId, confirmWith, h } from '../lib/dom';
import { count, plural } from '../lib/format';
import { dashboardPath } from '../lib/links';
import { STATUS } from '../lib/words';
import { inviteBox } from './invite';
import { Invites } from './invites';

const REFRESH_MS = 5000;

interface Parts {
  row: HTMLElement;
  head: HTMLElement;
  close: HTMLButtonElement;
  invite: HTMLButtonElement;
  invites: Invites;
}

export class Manager {
  private readonly rows = new Map<string, Parts>();
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly organiser: Organiser,
    private readonly onError: (thrown: unknown) => void,
  ) {}

  start(): void {
    void this.refresh();
    this.timer = setInterval(() => document.visibilityState === 'visible' && void this.refresh(), REFRESH_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    byId('federations', HTMLUListElement).replaceChildren();
  }

  async refresh(): Promise<void> {
    try {
      const all = await listFederations();
      all.sort((a, b) => b.created_at - a.created_at);
      byId('federations-empty', HTMLElement).hidden = all.length > 0;
      // Rows stay and only their numbers change: an open invite or the focus is not lost.
      for (const summary of all) this.update(summary);
      const list = byId('federations', HTMLUListElement);
      const wanted = all.map(({ id }) => this.rows.get(id)?.row).filter((row) => row !== undefined);
      if (wanted.some((row, i) => list.children[i] !== row) || list.children.length !== wanted.length) list.replaceChildren(...wanted);
    } catch (thrown) {
      this.onError(thrown);
    }
  }

  private update(summary: FederationSummary): void {
    let parts = this.rows.get(summary.id);
    if (parts === undefined) {
      parts = this.make(summary);
      this.rows.set(summary.id, parts);
    }
    const { status, name, step, steps, live, participants } = summary;
    parts.head.replaceChildren(
      h('h3', {}, name, h('span', { class: 'pill', 'data-status': status }, STATUS[status])),
      h('p', { class: 'small' }, `${count(step)} of ${plural(steps, 'round')} · ${count(live)} active, ${plural(participants, 'participant')} so far · `, h('code', {}, summary.id)),
    );
    parts.close.hidden = parts.invite.hidden = status !== 'running';
    parts.invites.running = status === 'running';
    void parts.invites.refresh();
  }

  private make(summary: FederationSummary): Parts {
    const { id, name } = summary;
    const head = h('div');
    const place = h('div');
    const invite = h('button', { type: 'button', 'data-testid': 'new-invite', 'aria-label': `New invite link for ${name}` }, 'New invite link');
    const invites = new Invites(this.organiser, id, name, this.onError);
    invite.addEventListener('click', () => void this.invite(id, invite, place, invites));
    const close = h('button', { type: 'button', class: 'quiet-button', 'data-testid': 'close', 'aria-label': `Close ${name}` }, 'Close');
    close.addEventListener('click', () => void this.close(summary));
    const actions = h(
      'p',
      { class: 'actions' },
      invite,
      h('a', { class: 'button', href: dashboardPath(id), 'aria-label': `Watch ${name}` }, 'Watch'),
      h('a', { class: 'button', href: generatorPath(id), download: true, 'aria-label': `Download the generator of ${name}` }, 'Download generator'),
      close,
    );
    return { row: h('li', { 'data-testid': 'federation-row', 'data-federation': id }, head, actions, place, invites.element), head, close, invite, invites };
  }

  private async invite(id: string, button: HTMLButtonElement, place: HTMLElement, invites: Invites): Promise<void> {
    const wish = invites.wish();
    if (wish === null) return;
    button.disabled = true;
    try {
      place.replaceChildren(inviteBox(await this.organiser.invite(id, wish)));
      place.querySelector<HTMLButtonElement>('button')?.focus();
      await invites.refresh();
    } catch (thrown) {
      this.onError(thrown);
    } finally {
      button.disabled = false;
    }
  }

  private async close(summary: FederationSummary): Promise<void> {
    byId('close-name', HTMLElement).textContent = summary.name;
    if (!(await confirmWith(byId('close-dialog', HTMLDialogElement)))) return;
    try {
      this.update(await this.organiser.close(summary.id));
    } catch (thrown) {
      this.onError(thrown);
    }
  }
}
