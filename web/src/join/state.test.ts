import { describe, expect, it } from 'vitest';
import type { TrainingProgress } from '../worker/protocol';
import { modelAmount, organiserAmount } from './amounts';
import { asksForDigits, labelList } from './labels';
import { afterOpened, viewOf } from './state';

const progress: TrainingProgress = {
  activity: 'training', localStep: 0, localSteps: 5, view: null, before: null, curve: [], delivered: 0, queries: 0, queryBudget: 0, bytesToModel: 0, bytesFromModel: 0,
  bytesToAggregator: 0, bytesFromAggregator: 0, stopped: null, suspicion: null, privacy: null, choice: null, record: null, confirmed: null, prepared: 0, renderMs: null, askMs: null, awaited: null,
};

describe('after the federation was opened', () => {
  const fresh = { agreed: false, paused: false };
  const agreed = { agreed: true, paused: false };
  it('the first time, there is the setup, or the offer to go on', () => {
    expect(afterOpened(false, fresh, false)).toBe('setup');
    expect(afterOpened(true, fresh, false)).toBe('offer-resume');
  });
  it('nothing is sent without agreement, whatever is stored', () => {
    for (const resumable of [true, false]) for (const chosen of [true, false]) expect(afterOpened(resumable, fresh, chosen)).not.toBe('go-on');
  });
  it('a Worker after a crash goes on from storage, or reads the data again', () => {
    expect(afterOpened(true, agreed, true)).toBe('go-on');
    expect(afterOpened(false, agreed, true)).toBe('load-data-again');
    expect(afterOpened(false, fresh, true)).toBe('load-data-again');
    expect(afterOpened(false, agreed, false)).toBe('setup');
  });
});

it('progress calls for a view', () => {
  expect(viewOf(progress)).toBe('running');
  expect(viewOf({ ...progress, activity: 'paused' })).toBe('running');
  expect(viewOf({ ...progress, activity: 'stopped', stopped: 'finished' })).toBe('done');
  expect(viewOf({ ...progress, activity: 'stopped', stopped: 'left' })).toBe('gone');
});

it('the built-in writer is offered where digits are asked for', () => {
  expect(asksForDigits([...'0123456789'])).toBe(true);
  expect(asksForDigits(['cat', 'dog'])).toBe(false);
  expect(asksForDigits(['10', '11'])).toBe(false);
  expect(asksForDigits([])).toBe(false);
});

it('what taking part costs is said before', () => {
  expect(modelAmount(32_000, 3100, 'images')).toContain('32,000 copies, 99 MB');
  expect(modelAmount(32_000, null, 'texts')).toContain('32,000 questions, if you stay');
  expect(organiserAmount(50, 2400)).toBe('2.4 kB a round, 120 kB in all 50 rounds');
});

it('labels are listed with their words', () => {
  expect(labelList(['1', 'b'], ['World', 'b'])).toBe('1 (World), b');
  expect(labelList(['cat', 'dog'], [])).toBe('cat, dog');
  expect(labelList(Array.from({ length: 41 }, (_, i) => `c${i}`), [])).toMatch(/c39 … \(41 in all\)$/);
});
