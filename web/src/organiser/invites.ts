/** A federation's invites: the limits of the next one, and a list of all, without their secrets. */
import type { CreateInvite } from '../generated/CreateInvite';
import type { InviteSummary } from '../generated/InviteSummary';
import type { Organiser } from '../lib/api';
import { byId, confirmWith, h } from '../lib/dom';
import { count, moment, plural, span } from '../lib/format';

const DAY = 24 * 3600;
const MOST_USES = 1_000_000;
/** How long a link can be valid, in seconds; null means for ever. */
const LIVES: readonly (readonly [seconds: number | null, words: string])[] = [
  [null, 'does not end'],
  [3600, 'ends in an hour'],
  [DAY, 'ends in a day'],
  [7 * DAY, 'ends in 7 days'],
  [30 * DAY, 'ends in 30 days'],
];

/** The limits that the fields ask for, or a sentence that says what is wrong with them. */
export function wishOf(life: string, uses: string): CreateInvite | string {
  const typed = uses.trim();
  const most = Number(typed);
  if (typed !== '' && (!/^\d+$/.test(typed) || most < 1 || most > MOST_USES)) return `For how many participants? Enter a whole number from 1 to ${count(MOST_USES)}, or leave it empty for any number.`;
  return { expires_in_seconds: life === '' ? null : Number(life), uses: typed === '' ? null : most };
}

/** The state of an invite, in words. */
export function standingOf(invite: InviteSummary, now: number): { good: boolean; words: string } {
  const { expires_at: end, uses, used } = invite;
  const joined = uses === null ? `${plural(used, 'participant')} joined` : `${count(used)} of ${plural(uses, 'participant')} joined`;
  if (invite.revoked) return { good: false, words: `revoked · ${joined}` };
  if (end !== null && end <= now) return { good: false, words: `expired · ${joined}` };
  if (uses !== null && used >= uses) return { good: false, words: `used up · ${joined}` };
  return { good: true, words: `${end === null ? 'does not end' : `ends in ${span(end - now)}`} · ${joined}` };
}

/** The part of a federation's row about its invites. */
export class Invites {
  readonly element: HTMLDetailsElement;
  private readonly life = h('select', { 'data-testid': 'invite-expires' }, ...LIVES.map(([seconds, words]) => h('option', { value: seconds ?? '' }, words)));
  private readonly uses = h('input', { type: 'text', inputmode: 'numeric', autocomplete: 'off', placeholder: 'any number', 'data-testid': 'invite-uses' });
  private readonly fault = h('p', { class: 'fault', role: 'alert' });
  private readonly fields = h('div', { class: 'invite-fields' }, h('label', {}, 'The next link', this.life), h('label', {}, 'For how many participants', this.uses), this.fault);
  private readonly list = h('ul', { class: 'invite-list', 'data-testid': 'invite-list' });

  constructor(
    private readonly organiser: Organiser,
    private readonly federation: string,
    name: string,
    private readonly onError: (thrown: unknown) => void,
  ) {
    this.element = h('details', { 'data-testid': 'invites' }, h('summary', { 'aria-label': `Invites of ${name}` }, 'Invites'), this.fields, this.list);
    this.element.addEventListener('toggle', () => void this.refresh());
    this.uses.addEventListener('input', () => this.complain(''));
  }

  /** The limits of the next link; null, with a message shown, if the fields are wrong. */
  wish(): CreateInvite | null {
    const wish = wishOf(this.life.value, this.uses.value);
    this.complain(typeof wish === 'string' ? wish : '');
    if (typeof wish !== 'string') return wish;
    this.element.open = true;
    this.uses.focus();
    return null;
  }

  /** Hides the fields when the federation has ended; the list stays. */
  set running(yes: boolean) {
    this.fields.hidden = !yes;
  }

  /** Reads the list again if it is shown. */
  async refresh(): Promise<void> {
    if (!this.element.open) return;
    try {
      const all = await this.organiser.invites(this.federation);
      // The focus would be lost with the button that has it.
      if (this.list.contains(document.activeElement) && this.list.children.length === all.length) return;
      this.list.replaceChildren(...all.map((invite) => this.row(invite)));
    } catch (thrown) {
      this.onError(thrown);
    }
  }

  private complain(words: string): void {
    this.fault.textContent = words;
    if (words === '') this.uses.removeAttribute('aria-invalid');
    else this.uses.setAttribute('aria-invalid', 'true');
  }

  private row(invite: InviteSummary): HTMLLIElement {
    const { good, words } = standingOf(invite, Date.now());
    const revoke = h('button', { type: 'button', class: 'quiet-button', 'data-testid': 'revoke-invite', 'aria-label': `Revoke the invite ${invite.id}` }, 'Revoke');
    revoke.addEventListener('click', () => void this.revoke(invite));
    return h(
      'li',
      { 'data-testid': 'invite-row', 'data-invite': invite.id, 'data-good': String(good) },
      h('span', {}, h('code', {}, invite.id), `, created ${moment(invite.created_at)}: ${words}`),
      !invite.revoked && revoke,
    );
  }

  private async revoke(invite: InviteSummary): Promise<void> {
    byId('revoke-name', HTMLElement).textContent = invite.id;
    if (!(await confirmWith(byId('revoke-dialog', HTMLDialogElement)))) return;
    try {
      const revoked = await this.organiser.revoke(this.federation, invite.id);
      this.list.querySelector(`[data-invite="${CSS.escape(invite.id)}"]`)?.replaceWith(this.row(revoked));
    } catch (thrown) {
      this.onError(thrown);
    }
  }
}
