/** Accuracy and loss over the updates of θ: a federation's rounds and one owner's points on one axis. */
import type { Metrics } from '../generated/Metrics';
import type { OwnPoint } from '../generated/OwnPoint';
import type { RoundRecord } from '../generated/RoundRecord';

/** A value at a number of θ updates. */
export interface Point {
  step: number;
  accuracy: number;
  loss: number;
}

/** Share of correct answers; null if nothing was measured. */
export function accuracyOf(metrics: Metrics): number | null {
  return metrics.total > 0 ? metrics.correct / metrics.total : null;
}

/**
 * The federation's curve. A round's sums are measured at the θ that it started from, so they belong to
 * `step`, not to `step + 1`. Rounds in which nobody delivered measured nothing.
 */
export function federationCurve(rounds: readonly RoundRecord[]): Point[] {
  const points = new Map<number, Point>();
  for (const { step, metrics } of rounds) {
    const accuracy = accuracyOf(metrics);
    if (accuracy !== null) points.set(step, { step, accuracy, loss: metrics.loss / metrics.total });
  }
  return [...points.values()].sort((a, b) => a.step - b.step);
}

/** The owner's curve: the last measurement at each θ. */
export function ownCurve(points: readonly OwnPoint[]): Point[] {
  const byStep = new Map<number, Point>();
  for (const { step, accuracy, loss, total } of points) {
    if (total > 0) byStep.set(step, { step, accuracy, loss });
  }
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}

/** Several curves on one axis: the steps in order, and for each curve its value or null at each. */
export function align(curves: readonly (readonly Point[])[], value: 'accuracy' | 'loss'): { steps: number[]; values: (number | null)[][] } {
  const steps = [...new Set(curves.flatMap((curve) => curve.map((point) => point.step)))].sort((a, b) => a - b);
  const values = curves.map((curve) => {
    const byStep = new Map(curve.map((point) => [point.step, point[value]]));
    return steps.map((step) => byStep.get(step) ?? null);
  });
  return { steps, values };
}

/** `rounds` with `record` inserted in order; a repeated event changes nothing. */
export function withRound(rounds: readonly RoundRecord[], record: RoundRecord): RoundRecord[] {
  return [...rounds.filter((known) => known.round !== record.round), record].sort((a, b) => a.round - b.round);
}
