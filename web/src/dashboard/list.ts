/** All federations of this aggregator. */
import type { FederationSummary } from '../generated/FederationSummary';
import { listFederations } from '../lib/api';
import { byId, h } from '../lib/dom';
import { count, plural } from '../lib/format';
import { dashboardPath } from '../lib/links';
import { asApiError } from '../lib/problem';
import { STATUS } from '../lib/words';
import { troubleBox } from '../lib/trouble';

const REFRESH_MS = 5000;

function card(summary: FederationSummary): HTMLElement {
  const { id, name, description, status, step, steps, live, participants } = summary;
  return h(
    'li',
    {},
    h(
      'article',
      { class: 'card', 'data-testid': 'federation-card', 'data-federation': id },
      h('p', {}, h('span', { class: 'pill', 'data-status': status }, STATUS[status])),
      h('h3', {}, h('a', { href: dashboardPath(id) }, name)),
      description !== '' && h('p', { class: 'about' }, description),
      h(
        'div',
        { class: 'foot' },
        h('progress', { max: Math.max(1, steps), value: step, 'aria-label': `Rounds of ${name}` }),
        h('p', { class: 'small' }, `${count(step)} of ${plural(steps, 'round')} · ${status === 'running' ? `${count(live)} active, ` : ''}${plural(participants, 'participant')} so far`),
      ),
    ),
  );
}

export class FederationList {
  private shown = '';

  constructor() {
    byId('list-view', HTMLElement).hidden = false;
    void this.refresh();
    setInterval(() => document.visibilityState === 'visible' && void this.refresh(), REFRESH_MS);
  }

  private async refresh(): Promise<void> {
    const slot = byId('trouble', HTMLElement);
    try {
      const all = await listFederations();
      all.sort((a, b) => Number(b.status === 'running') - Number(a.status === 'running') || b.created_at - a.created_at);
      slot.replaceChildren();
      byId('list-empty', HTMLElement).hidden = all.length > 0;
      // Unchanged cards stay, so that a focused card keeps the focus.
      const key = JSON.stringify(all);
      if (key !== this.shown) {
        const focused = document.activeElement?.getAttribute('href');
        byId('list', HTMLUListElement).replaceChildren(...all.map(card));
        if (focused) document.querySelector<HTMLAnchorElement>(`#list a[href=${JSON.stringify(focused)}]`)?.focus();
      }
      this.shown = key;
    } catch (thrown) {
      const error = asApiError(thrown);
      if (slot.childElementCount === 0) slot.replaceChildren(troubleBox({ code: error.code, title: error.title, detail: error.detail, where: 'open' }, null));
    }
  }
}
