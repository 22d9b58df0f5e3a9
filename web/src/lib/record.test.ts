import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { floats, integers, leadTo, parseRound, sampled } from './record';

/** The record of a real federation of three people with secure sums. */
const lines = gunzipSync(readFileSync(new URL('../../../tests/native/records/secure-sum.record.gz', import.meta.url))).toString().trimEnd().split('\n');
const head = createHash('sha256').update(lines.at(-1) ?? '').digest('hex');

describe('a round of the record', () => {
  it('tells who contributed, with which vector, and the sum', () => {
    expect(parseRound(lines[0] ?? '')).toBeNull();
    const round = parseRound(lines[1] ?? '');
    expect(round?.round).toBe(0);
    expect(round?.aborted).toBeNull();
    expect(round?.contributors.map(({ participant }) => participant)).toEqual([0, 1, 2]);
    expect(round?.contributors[0]?.vector).toBe('f33c245928c8d97f36daa38d90722efc93a68a71f1bd586f3c1b50ded2daeaa3');
    expect(round?.groups.map(({ members }) => members)).toEqual([[0, 1, 2]]);
    const sum = round?.groups[0]?.sum ?? [];
    // The first numbers as the file has them: c9 0c 00 …, 15 f3 ff …
    expect(sum.slice(0, 2)).toEqual([0x0cc9, 0xf315 - 0x10000]);
    expect(sum.length).toBeGreaterThan(100);
  });

  it('of another form is none, whatever it is', () => {
    for (const line of ['', '{', 'null', '[]', '{"entry":7}', '{"entry":{"round":{"round":"x"}}}']) expect(parseRound(line)).toBeNull();
    expect(parseRound('{"entry":{"round":{"round":3,"aborted":"too-few-masked","cohort":null,"sums":null}}}')).toEqual({ round: 3, aborted: 'too-few-masked', contributors: [], groups: [] });
    expect(parseRound('{"entry":{"round":{"round":3,"cohort":7,"sums":{"secure":{"groups":[{"members":2,"sum":"~"}]}}}}}')?.groups).toEqual([{ members: [], sum: [] }]);
  });

  it('leads to the head only if every line is in its place, unchanged', async () => {
    expect(await leadTo(lines, head)).toBe(true);
    expect(await leadTo(lines.slice(2), head)).toBe(true);
    expect(await leadTo(lines.slice(0, -1), head)).toBe(false);
    expect(await leadTo([], head)).toBe(false);
    const changed = lines.map((line, i) => (i === 2 ? line.replace('"aborted":null', '"aborted": null') : line));
    expect(await leadTo(changed, head)).toBe(false);
    const swapped = [lines[0], lines[2], lines[1], ...lines.slice(3)].map((line) => line ?? '');
    expect(await leadTo(swapped, head)).toBe(false);
  });
});

describe('packed numbers', () => {
  it('of four and of eight bytes are signed and little-endian', () => {
    const packed = Buffer.alloc(16);
    packed.writeBigInt64LE(-2n, 0);
    packed.writeInt32LE(-7, 8);
    packed.writeInt32LE(2 ** 31 - 1, 12);
    expect(integers(packed, 8)[0]).toBe(-2);
    expect(integers(packed, 4).slice(2)).toEqual([-7, 2 ** 31 - 1]);
    const real = Buffer.alloc(8);
    real.writeFloatLE(0.5, 0);
    real.writeFloatLE(-3, 4);
    expect(floats(real)).toEqual([0.5, -3]);
  });
  it('of another form are none', () => {
    expect(integers(new Uint8Array(7), 8)).toEqual([]);
    expect(integers(new Uint8Array(12), 3)).toEqual([]);
    expect(floats(new Uint8Array(3))).toEqual([]);
  });
});

it('long vectors are shown in evenly spaced places', () => {
  expect(sampled([1, 2, 3], 5)).toEqual([1, 2, 3]);
  expect(sampled([0, 1, 2, 3, 4, 5, 6], 3)).toEqual([0, 2, 4]);
  expect(sampled([])).toEqual([]);
});
