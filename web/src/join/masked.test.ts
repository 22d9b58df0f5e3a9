import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { MaskedUpdate } from '../generated/MaskedUpdate';
import { parseRound } from '../lib/record';
import { checks, ownNumber, ownSum, type OwnRound } from './masked';

const lines = gunzipSync(readFileSync(new URL('../../../tests/native/records/secure-sum.record.gz', import.meta.url))).toString().split('\n');
const line = parseRound(lines[1] ?? '');
const update: MaskedUpdate = { round: 0, kind: 'training', entry_bytes: 8, vector: '0aaf5820e024c767b3323a234e6f7745be679c737b9b0498b49b222d5fe63d63' };
const ended: OwnRound = { update, change: Array<number>(40).fill(0), sent: Array<number>(40).fill(0), bytes: 376, confirmed: { round: 0, least: 3, members: 3 }, line, leads: true };

const states = (round: OwnRound): string[] => checks(round, 'images').map(({ state }) => state);

describe('the round of a participant', () => {
  it('is found in the record by the hash of the masked numbers alone', () => {
    expect(ownNumber(ended)).toBe(1);
    expect(ownNumber({ ...ended, update: { ...update, vector: '00' } })).toBeNull();
    expect(ownNumber({ ...ended, line: null })).toBeNull();
  });
  it('has the sum of its group, as long as the update', () => {
    const sum = ownSum(ended);
    expect(sum?.members).toEqual([0, 1, 2]);
    expect(sum?.numbers).toEqual(line?.groups[0]?.sum.slice(0, 40));
    expect(ownSum({ ...ended, update: { ...update, vector: '00' } })).toBeNull();
  });
});

describe('what has been checked', () => {
  it('is ticked when it was, and not before', () => {
    expect(states(ended)).toEqual(['yes', 'yes', 'yes']);
    expect(states({ ...ended, line: null, leads: null, confirmed: null })).toEqual(['open', 'open']);
    expect(checks(ended, 'images')[1]?.text).toContain('At least 3 of 3 participants');
  });
  it('is no tick where the browser cannot compare, and no where the record is another', () => {
    expect(states({ ...ended, leads: null })[2]).toBe('open');
    expect(states({ ...ended, leads: false })).toEqual(['no', 'yes', 'no']);
  });
  it('does not claim a vector that no sum has', () => {
    expect(states({ ...ended, update: { ...update, vector: '00' } })[0]).toBe('open');
  });
});
