import { describe, expect, it } from 'vitest';
import type { Phase } from '../generated/Phase';
import type { RoundView } from '../generated/RoundView';
import { taskInWords } from './task';
import { cohort, phase, phaseShare } from './words';

const view = (over: Partial<RoundView>): RoundView => ({
  version: 1, status: 'running', step: 0, round: 0, phase: 'open', theta: '', standing: 'idle', enrolled: 0, cohort: 0, delivered: 0, live: 0, deadline_ms: null, ...over,
});

describe('a round in words', () => {
  it('counts who is ready, and never more than there are', () => {
    expect(phase(view({ enrolled: 2, live: 5 }))).toBe('2 of 5 have a change ready');
    expect(phase(view({ enrolled: 3, live: 1 }))).toBe('3 of 3 have a change ready');
    expect(phase(view({ phase: 'upload', delivered: 1, cohort: 4 }))).toBe('1 of 4 changes have arrived');
    expect(cohort(view({ live: 1 }))).toBe('1 participant at work');
    expect(cohort(view({ cohort: 4 }))).toBe('4 participants in this round');
  });
  it('has a share between 0 and 1 in every phase, also with nobody there', () => {
    const phases: Phase[] = ['open', 'keys', 'shares', 'masked', 'unmask', 'upload', 'done', 'aborted'];
    for (const each of phases) {
      for (const counts of [{}, { enrolled: 9, live: 1, cohort: 2, delivered: 7 }]) {
        const share = phaseShare(view({ phase: each, ...counts }));
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
      }
      expect(phase(view({ phase: each }))).not.toBe('');
    }
    expect(phaseShare(view({ phase: 'upload', cohort: 4, delivered: 2 }))).toBe(0.75);
  });
});

describe('a task in words', () => {
  it('fills in the defaults that the task leaves out', () => {
    const rows = new Map(taskInWords({ name: 'X', model: { url: 'http://h:1', name: 'm', input: { height: 32, width: 24 } }, data: { labels: ['a', 'b'] } }, 576));
    expect(rows.get('Model')).toBe('m at h:1');
    expect(rows.get('Sees pictures of')).toBe('24×32 pixels');
    expect(rows.get('Labels')).toBe('a, b');
    expect(rows.get('Length')).toBe('50 rounds of 5 steps, 32 pictures each');
    expect(rows.get('Pattern')).toContain('576 numbers');
  });
  it('survives anything', () => {
    for (const odd of [null, undefined, 3, [], { model: 'x', data: { labels: {} }, generator: { kind: 'of tomorrow' } }]) expect(taskInWords(odd, 1).length).toBeGreaterThan(0);
  });
  it('shortens long lists of labels', () => {
    const labels = Array.from({ length: 1000 }, (_, i) => `c${i}`);
    expect(new Map(taskInWords({ data: { labels } }, 1)).get('Labels')).toMatch(/c23 … \(1,000 in all\)$/);
  });
});
