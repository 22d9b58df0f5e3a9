import { describe, expect, it } from 'vitest';
import type { RoundRecord } from '../generated/RoundRecord';
import { accuracyOf, align, federationCurve, ownCurve, withRound } from './curves';

function record(round: number, step: number, correct: number, total: number, loss = total): RoundRecord {
  return { round, step, kind: 'training', phase: total > 0 ? 'done' : 'aborted', reason: null, cohort: 2, delivered: 2, metrics: { correct, total, loss, queries: 0, unprompted: 0 }, theta: '', epsilon: null, bytes_up: 0, finished_at: 0 };
}

it('accuracy of nothing is nothing', () => {
  expect(accuracyOf({ correct: 0, total: 0, loss: 0, queries: 0, unprompted: 0 })).toBeNull();
  expect(accuracyOf({ correct: 3, total: 4, loss: 0, queries: 0, unprompted: 0 })).toBe(0.75);
});

describe('the federation’s curve', () => {
  it('stands at the steps that rounds started from, with mean losses', () => {
    expect(federationCurve([record(0, 0, 1, 10, 25), record(1, 1, 5, 10, 10)])).toEqual([
      { step: 0, accuracy: 0.1, loss: 2.5 },
      { step: 1, accuracy: 0.5, loss: 1 },
    ]);
  });
  it('leaves rounds without measurements out; of two at one step the later counts', () => {
    expect(federationCurve([record(0, 0, 1, 4), record(1, 1, 0, 0), record(2, 1, 2, 4), record(3, 1, 3, 4)]).map((p) => [p.step, p.accuracy])).toEqual([[0, 0.25], [1, 0.75]]);
  });
});

it('the own curve keeps the last measurement at each step, in order', () => {
  const points = [{ step: 2, accuracy: 0.5, loss: 1, total: 8 }, { step: 0, accuracy: 0.1, loss: 2, total: 8 }, { step: 2, accuracy: 0.6, loss: 0.9, total: 8 }, { step: 3, accuracy: 0, loss: 0, total: 0 }];
  expect(ownCurve(points).map((p) => [p.step, p.accuracy])).toEqual([[0, 0.1], [2, 0.6]]);
});

it('curves with different steps share an axis; gaps are null', () => {
  const own = [{ step: 1, accuracy: 0.2, loss: 3 }, { step: 3, accuracy: 0.4, loss: 1 }];
  const all = [{ step: 0, accuracy: 0.1, loss: 4 }, { step: 3, accuracy: 0.5, loss: 2 }];
  expect(align([own, all], 'accuracy')).toEqual({ steps: [0, 1, 3], values: [[null, 0.2, 0.4], [0.1, null, 0.5]] });
  expect(align([own, []], 'loss')).toEqual({ steps: [1, 3], values: [[3, 1], [null, null]] });
  expect(align([[], []], 'loss')).toEqual({ steps: [], values: [[], []] });
});

it('a repeated or late round is counted once and in its place', () => {
  const rounds = [record(0, 0, 1, 4), record(2, 2, 2, 4)];
  expect(withRound(rounds, record(1, 1, 1, 4)).map((r) => r.round)).toEqual([0, 1, 2]);
  expect(withRound(rounds, record(2, 2, 4, 4)).map((r) => r.metrics.correct)).toEqual([1, 4]);
  expect(rounds).toHaveLength(2);
});
