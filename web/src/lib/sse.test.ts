import { describe, expect, it } from 'vitest';
import type { FederationDetail } from '../generated/FederationDetail';
import type { RoundRecord } from '../generated/RoundRecord';
import type { RoundView } from '../generated/RoundView';
import { applyProgress, hasGap } from './sse';

const view = (version: number, round: number): RoundView => ({
  version, status: 'running', step: round, round, phase: 'open', theta: '', lines: round + 1, record: '', registered: 0, attempt: 0, standing: 'idle', enrolled: 0, cohort: 0, delivered: 0, live: 3, deadline_ms: null,
});
const record = (round: number): RoundRecord => ({
  round, step: round, kind: 'training', phase: 'done', reason: null, cohort: 1, delivered: 1, metrics: { correct: 1, total: 2, loss: 1, queries: 4, unprompted: 1 }, theta: '', epsilon: 0.5 * round, bytes_up: 0, finished_at: 0,
});
const known: FederationDetail = {
  summary: { id: 'x', name: 'X', description: '', status: 'running', step: 1, steps: 9, participants: 2, live: 2, dim: 4, model_origin: 'http://m', created_at: 0, task_hash: '', secure: true, privacy: { epsilon: 0, limit: 8, delta: 1e-5 } },
  task: {},
  rounds: [record(0)],
  choice: null,
  current: view(10, 1),
};

describe('an event', () => {
  it('moves the federation on', () => {
    const next = applyProgress(known, { current: view(20, 2), finished: record(1), participants: 5 });
    expect(next.rounds.map((r) => r.round)).toEqual([0, 1]);
    expect(next.current.version).toBe(20);
    expect(next.summary).toMatchObject({ step: 2, live: 3, participants: 5, privacy: { epsilon: 0.5, limit: 8 } });
    expect(known.rounds).toHaveLength(1);
  });
  it('that is older than what is known turns nothing back', () => {
    const next = applyProgress(known, { current: view(3, 0), finished: record(0), participants: 1 });
    expect(next.current.version).toBe(10);
    expect(next.summary).toMatchObject({ step: 1, participants: 2, privacy: { epsilon: 0 } });
    expect(next.rounds).toHaveLength(1);
  });
  it('tells of rounds that were missed', () => {
    expect(hasGap(known, { current: view(20, 2), finished: record(1), participants: 2 })).toBe(false);
    expect(hasGap(known, { current: view(11, 1), finished: null, participants: 2 })).toBe(false);
    expect(hasGap(known, { current: view(40, 4), finished: record(3), participants: 2 })).toBe(true);
    expect(hasGap(known, { current: view(40, 4), finished: null, participants: 2 })).toBe(true);
  });
});
