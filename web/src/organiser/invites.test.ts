import { describe, expect, it } from 'vitest';
import type { InviteSummary } from '../generated/InviteSummary';
import { standingOf, wishOf } from './invites';

describe('what the next link is good for', () => {
  it('is for anybody and for ever unless said otherwise', () => {
    expect(wishOf('', ' ')).toEqual({ expires_in_seconds: null, uses: null });
    expect(wishOf('604800', ' 3 ')).toEqual({ expires_in_seconds: 604_800, uses: 3 });
    expect(wishOf('', '1000000')).toEqual({ expires_in_seconds: null, uses: 1_000_000 });
  });
  it.each(['0', '-1', '1.5', 'many', '1000001', '1e3', '0x10'])('is not for %s participants', (uses) => {
    expect(wishOf('', uses)).toContain('whole number from 1');
  });
});

describe('how an invite stands', () => {
  const invite = (over: Partial<InviteSummary>): InviteSummary => ({ id: '0a', created_at: 0, expires_at: null, uses: null, used: 0, revoked: false, ...over });
  it.each<[Partial<InviteSummary>, boolean, string]>([
    [{}, true, 'does not end · 0 participants joined'],
    [{ used: 1 }, true, 'does not end · 1 participant joined'],
    [{ expires_at: 61_000, uses: 3, used: 1 }, true, 'ends in 1 min · 1 of 3 participants joined'],
    [{ expires_at: 1000 }, false, 'expired · 0 participants joined'],
    [{ uses: 1, used: 1 }, false, 'used up · 1 of 1 participant joined'],
    [{ revoked: true, expires_at: 1000, uses: 1, used: 1 }, false, 'revoked · 1 of 1 participant joined'],
  ])('%o', (over, good, words) => {
    expect(standingOf(invite(over), 1000)).toEqual({ good, words });
  });
});
