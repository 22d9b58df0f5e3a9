import { describe, expect, it, vi } from 'vitest';

// The wasm itself is not needed to choose.
vi.mock('../../wasm/client_wasm', () => ({ default: () => undefined }));
const { needsLarger } = await import('./module');

const detail = (task: unknown) => JSON.stringify({ summary: {}, task });

describe('the module that a federation needs', () => {
  it('is the small one for pictures that are summed as they are', () => {
    expect(needsLarger(detail({ federation: {}, model: { input: { height: 32 } } }))).toBe(false);
    expect(needsLarger(detail({ model: { input: { kind: 'image' } } }))).toBe(false);
    expect(needsLarger(detail(undefined))).toBe(false);
  });

  it('is the larger one for secure sums, draws, texts, models on this device, CMA-ES, learnt mappings and further generators', () => {
    expect(needsLarger(detail({ federation: { secure_sum: {} } }))).toBe(true);
    expect(needsLarger(detail({ federation: {}, model: { input: { kind: 'text' } } }))).toBe(true);
    expect(needsLarger(detail({ model: { dialect: 'on-device' } }))).toBe(true);
    expect(needsLarger(detail({ model: { dialect: 'open-inference' } }))).toBe(false);
    expect(needsLarger(detail({ federation: { active: 2 } }))).toBe(true);
    expect(needsLarger(detail({ federation: { active: 0 } }))).toBe(false);
    expect(needsLarger(detail({ mapping: { kind: 'frequency' } }))).toBe(true);
    expect(needsLarger(detail({ mapping: { kind: 'identity', calibrate: true } }))).toBe(true);
    expect(needsLarger(detail({ mapping: { kind: 'groups' } }))).toBe(false);
    expect(needsLarger(detail({ generator: { kind: 'coordinator' } }))).toBe(true);
    expect(needsLarger(detail({ optimizer: { kind: 'cma-es' } }))).toBe(true);
    expect(needsLarger(detail({ generator: { kind: 'frame' } }))).toBe(true);
    expect(needsLarger(detail({ generator: { kind: 'statistic' } }))).toBe(false);
    expect(needsLarger(detail({ generator: { reparametrisation: { kind: 'sparse' } } }))).toBe(true);
    expect(needsLarger(detail({ optimizer: { kind: 'hiso' } }))).toBe(true);
    expect(needsLarger(detail({ optimizer: { kind: 'zo-sgd', decay: 'polynomial' } }))).toBe(true);
    expect(needsLarger(detail({ optimizer: { kind: 'zo-sgd', decay: 'linear' } }))).toBe(false);
    expect(needsLarger(detail({ loss: { kind: 'focal' } }))).toBe(true);
    expect(needsLarger(detail({ model: { dialect: 'open-inference', calls: { concurrency: 4 } } }))).toBe(false);
    for (const model of [{ dialect: 'openai' }, { price: {} }, { version: '2' }, { calls: { cache: 9 } }, { input: { flat: true } }]) expect(needsLarger(detail({ model }))).toBe(true);
  });
});
