import { describe, expect, it } from 'vitest';
import type { AbortReason } from '../generated/AbortReason';
import type { Phase } from '../generated/Phase';
import type { RoundView } from '../generated/RoundView';
import { taskInWords } from './task';
import { ABORTED, activity, cohort, ended, kept, phase, phaseShare, spent, waitsFor } from './words';

const view = (over: Partial<RoundView>): RoundView => ({
  version: 1, status: 'running', step: 0, round: 0, phase: 'open', theta: '', lines: 1, record: '', registered: 0, attempt: 0, standing: 'idle', enrolled: 0, cohort: 0, delivered: 0, live: 0, deadline_ms: null, ...over,
});

it('says what is kept, and why', () => {
  const measured = { step: 4, correct: 60, unprompted: 40, total: 100 };
  expect(kept({ keep: 'last', measured }, 'images')).toContain('newest pattern is kept: of 100 pictures that participants kept aside, 40%');
  expect(kept({ keep: 'earlier', measured }, 'images')).toContain('pattern of round 5 is kept');
  expect(kept({ keep: 'unprompted', measured: { ...measured, correct: 41 } }, 'images')).toContain('Nothing is lost');
});

describe('a round in words', () => {
  it('counts who is ready, and never more than there are', () => {
    expect(phase(view({ enrolled: 2, live: 5 }), 'images')).toBe('2 of 5 have a change ready');
    expect(phase(view({ enrolled: 3, live: 1 }), 'images')).toBe('3 of 3 have a change ready');
    expect(phase(view({ phase: 'upload', delivered: 1, cohort: 4 }), 'images')).toBe('1 of 4 changes have arrived');
    expect(cohort(view({ live: 1 }))).toBe('1 participant active');
    expect(cohort(view({ cohort: 4 }))).toBe('4 participants in this round');
  });
  it('has a share between 0 and 1 in every phase, also with nobody there', () => {
    const phases: Phase[] = ['open', 'keys', 'shares', 'masked', 'confirm', 'unmask', 'upload', 'done', 'aborted'];
    for (const each of phases) {
      for (const counts of [{}, { enrolled: 9, live: 1, cohort: 2, delivered: 7 }]) {
        const share = phaseShare(view({ phase: each, ...counts }));
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
      }
      expect(phase(view({ phase: each }), 'images')).not.toBe('');
    }
    expect(phaseShare(view({ phase: 'upload', cohort: 4, delivered: 2 }))).toBe(0.75);
  });
});

describe('a secure sum in words', () => {
  it('has words of its own for each step, what is done and how far all are', () => {
    const steps: Phase[] = ['keys', 'shares', 'masked', 'confirm', 'unmask'];
    const doing = steps.map((each) => activity({ activity: 'uploading', view: view({ phase: each }) }, 'images'));
    expect(new Set(doing).size).toBe(5);
    expect(doing[2]).toContain('hidden');
    expect(activity({ activity: 'uploading', view: view({ phase: 'upload' }) }, 'images')).toBe('Sending the suggested change');
    expect(activity({ activity: 'training', view: view({ phase: 'masked' }) }, 'images')).toContain('Trying');
    for (const each of steps) expect(phase(view({ phase: each, delivered: 3, cohort: 5 }), 'images')).toContain('3 of 5');
    const shares = steps.map((each) => phaseShare(view({ phase: each, delivered: 1, cohort: 2 })));
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
  });
  it('speaks of what the federation is about', () => {
    expect(ended('finished', 'texts').detail).toContain('the prompt is final');
    expect(ended('privacy-spent', 'images').detail).toContain('about your pictures');
    expect(activity({ activity: 'training', view: null }, 'texts')).toBe('Trying small changes of the prompt on the model');
    expect(phase(view({}), 'texts')).toContain('of the prompt');
  });
  it('says so to whom it goes on without', () => {
    expect(cohort(view({ phase: 'masked', cohort: 4, standing: 'dropped' }))).toContain('too late');
  });
  it('has words for each way to be given up, and for each end', () => {
    const reasons: AbortReason[] = ['too-few-enrolled', 'too-few-updates', 'too-few-keys', 'too-few-shares', 'too-few-masked', 'too-few-confirmed', 'too-few-unmasked', 'false-shares', 'overflow', 'closed'];
    expect(Object.keys(ABORTED).sort()).toEqual([...reasons].sort());
    expect(new Set(Object.values(ABORTED)).size).toBe(reasons.length);
    expect(ended('privacy-spent', 'images').title).toContain('limit');
    expect(ended('inconsistent', 'images').title).toContain('safety');
  });
});

describe('the ledger in words', () => {
  it('never says less than was spent', () => {
    expect(spent({ epsilon: 1.2301, limit: 8, delta: 1e-5 })).toBe('ε = 1.24 of 8, at δ = 10⁻⁵');
    expect(spent({ epsilon: 0, limit: 0.5, delta: 1e-6 })).toBe('ε = 0 of 0.5, at δ = 10⁻⁶');
    expect(spent({ epsilon: 7.99, limit: 8, delta: 0.01 })).toBe('ε = 7.99 of 8, at δ = 0.01');
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
  it('has the words of a task of texts', () => {
    const task = { model: { input: { kind: 'text' } }, text: { template: 'About {}.', words: ['World', 'Sports'] }, data: { labels: ['1', '2'] }, federation: { batch: 4 } };
    const rows = new Map(taskInWords(task, 24));
    expect(rows.get('Reads texts as')).toBe('{text}');
    expect(rows.get('Scores labels as')).toBe('About {}.');
    expect(rows.get('Their words')).toBe('World, Sports');
    expect(rows.get('Prompt')).toBe('words from a list; 24 numbers');
    expect(rows.get('Each participant')).toContain('20 prompts a step');
    expect(rows.get('Length')).toContain('4 texts each');
    expect(rows.has('Sees pictures of')).toBe(false);
  });
  it('says what is hidden, and how', () => {
    const rows = (federation: object): Map<string, string> => new Map(taskInWords({ federation }, 1));
    expect(rows({}).has('Hidden')).toBe(false);
    expect(rows({}).has('Protection against bad changes')).toBe(false);
    const noisy = rows({ rule: 'scalars', secure_sum: {}, privacy: { epsilon: 4, delta: 1e-6 }, combine: 'median' });
    expect(noisy.get('Hidden')).toContain('only the sum is seen');
    expect(noisy.get('Noise')).toBe('enough to keep ε at most 4, at δ = 10⁻⁶');
    expect(noisy.get('Each sends')).toContain('direction');
    expect(noisy.get('Protection against bad changes')).toContain('median');
    expect(rows({ secure_sum: { groups: 3 } }).get('Hidden')).toContain('3 groups');
  });
  it('survives anything', () => {
    for (const odd of [null, undefined, 3, [], { model: 'x', data: { labels: {} }, generator: { kind: 'of tomorrow' } }]) expect(taskInWords(odd, 1).length).toBeGreaterThan(0);
  });
  it('shortens long lists of labels', () => {
    const labels = Array.from({ length: 1000 }, (_, i) => `c${i}`);
    expect(new Map(taskInWords({ data: { labels } }, 1)).get('Labels')).toMatch(/c23 … \(1,000 in all\)$/);
  });
});

it('who waits is told for how many', () => {
  expect(waitsFor({ here: 1, needed: 3 })).toBe('Waiting for 2 more participants: 1 of at least 3 is ready');
  expect(waitsFor({ here: 2, needed: 3 })).toBe('Waiting for 1 more participant: 2 of at least 3 are ready');
});
