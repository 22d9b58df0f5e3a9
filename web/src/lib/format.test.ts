import { describe, expect, it } from 'vitest';
import { bytes, count, duration, fingerprint, host, percent, plural, probability, span } from './format';

describe('percent', () => {
  it('has no decimals and says nothing of nothing', () => {
    expect(percent(0.724)).toBe('72%');
    expect(percent(0)).toBe('0%');
    expect(percent(1)).toBe('100%');
    expect(percent(null)).toBe('–');
    expect(percent(undefined)).toBe('–');
    expect(percent(Number.NaN)).toBe('–');
  });
  it('does not claim perfection that is not there', () => {
    expect(percent(0.999)).toBe('99%');
  });
});

describe('bytes', () => {
  it.each([
    [0, '0 bytes'], [1, '1 byte'], [999, '999 bytes'], [1000, '1.0 kB'], [1234, '1.2 kB'], [12_345, '12 kB'], [999_499, '999 kB'],
    [999_600, '1.0 MB'], [9_960_000, '10 MB'], [99_200_000, '99 MB'], [3.2e9, '3.2 GB'], [5e15, '5000 TB'], [-1, '–'], [Number.NaN, '–'],
  ])('%d → %s', (value, shown) => {
    expect(bytes(value)).toBe(shown);
  });
});

describe('span', () => {
  it.each([[0, '0 s'], [950, '1 s'], [59_001, '1 min'], [75_000, '1 min 15 s'], [3_600_000, '1 h'], [7_300_000, '2 h 1 min'], [-5, '0 s']])('%d ms → %s', (value, shown) => {
    expect(span(value)).toBe(shown);
  });
});

it('counts and plurals', () => {
  expect(count(12_345.4)).toBe('12,345');
  expect(count(Number.POSITIVE_INFINITY)).toBe('–');
  expect(plural(1, 'picture')).toBe('1 picture');
  expect(plural(2000, 'picture')).toBe('2,000 pictures');
  expect(plural(2, 'file or row', 'files or rows')).toBe('2 files or rows');
});

it('durations', () => {
  expect(duration(0.34)).toBe('0.3 ms');
  expect(duration(48.2)).toBe('48 ms');
  expect(duration(2100)).toBe('2.1 s');
  expect(duration(null)).toBe('–');
});

it('hosts, with a fallback for what is no address', () => {
  expect(host('https://api.example.org:8443/v2')).toBe('api.example.org:8443');
  expect(host('nonsense')).toBe('nonsense');
});

it('a small probability is a power of ten', () => {
  expect(probability(1e-5)).toBe('10⁻⁵');
  expect(probability(2.5e-12)).toBe('2.5 · 10⁻¹²');
  expect(probability(0.01)).toBe('0.01');
  expect(probability(0)).toBe('0');
  expect(probability(Number.NaN)).toBe('–');
});

it('a fingerprint is four groups of four', () => {
  expect(fingerprint('0123456789abcdef'.repeat(4))).toBe('0123 4567 89ab cdef');
  expect(fingerprint('')).toBe('–');
});
