/** An invite link to copy. */
import type { Invite } from '../generated/Invite';
import { h } from '../lib/dom';
import { inviteLink } from '../lib/links';

export function inviteBox(invite: Invite): HTMLElement {
  const field = h('input', { type: 'text', readonly: true, value: inviteLink(invite.public_url ?? location.origin, invite.federation, invite.invite), 'data-testid': 'invite-link' });
  const copy = h('button', { type: 'button', class: 'primary', 'data-testid': 'copy-invite' }, 'Copy');
  const said = h('span', { class: 'small', role: 'status' });
  field.addEventListener('focus', () => field.select());
  copy.addEventListener('click', () => {
    // Without https there is no clipboard for scripts; the selection can be copied by hand.
    const written = navigator.clipboard?.writeText(field.value) ?? Promise.reject(new Error('no clipboard'));
    written.then(
      () => (said.textContent = 'Copied'),
      () => {
        field.select();
        said.textContent = 'Press Ctrl+C (⌘C) to copy';
      },
    );
  });
  return h('div', { class: 'invite' }, h('label', {}, 'Invite link', field), copy, said);
}
