/**
 * Which wasm module a federation needs: the one with secure sums, texts and every generator is larger, and only those
 * whose task has one of them load it. The announced task decides, before either is loaded.
 */
import init, * as plain from '../../wasm/client_wasm';
import type { Post } from './host';
import type { ToWorker } from './protocol';

/** Both modules have the same surface. */
export type Module = typeof plain;

export interface Choice {
  module: Module;
  /** The aggregator's answer, so that it is not asked twice; nothing where it refused: the module says so in words. */
  detail: string | undefined;
}

const LIMIT_MS = 20_000;
const LONGEST_WAIT_MS = 30_000;

/** The module for the federation, instantiated. Waits for the aggregator as long as it takes. */
export async function choose(message: ToWorker & { type: 'open' }, post: Post): Promise<Choice> {
  const detail = await announced(message, post);
  if (detail === undefined || !needsLarger(detail)) {
    await init();
    return { module: plain, detail };
  }
  const larger = await import('../../wasm-full/client_wasm_full');
  await larger.default();
  // Two builds of one crate: the same classes, but of private fields, which TypeScript tells apart.
  return { module: larger as unknown as Module, detail };
}

interface Announced {
  task?: {
    federation?: { secure_sum?: unknown };
    generator?: { kind?: unknown; reparametrisation?: unknown };
    loss?: { kind?: unknown };
    model?: { input?: { kind?: unknown } };
    optimizer?: { decay?: unknown; kind?: unknown };
  };
}

/** Does the task of this `FederationDetail` have secure sums, texts, or what only comes with further generators? */
export function needsLarger(detail: string): boolean {
  const { task } = JSON.parse(detail) as Announced;
  return (
    task?.federation?.secure_sum !== undefined ||
    task?.model?.input?.kind === 'text' ||
    (task?.generator?.kind ?? 'statistic') !== 'statistic' ||
    task?.generator?.reparametrisation !== undefined ||
    task?.loss?.kind === 'focal' ||
    task?.optimizer?.kind === 'hiso' ||
    task?.optimizer?.decay === 'polynomial'
  );
}

/** The aggregator's answer; nothing if it says no. */
async function announced(message: ToWorker & { type: 'open' }, post: Post): Promise<string | undefined> {
  const url = `${message.aggregator.replace(/\/+$/, '')}/v1/federations/${encodeURIComponent(message.federation)}`;
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await fetch(url, { credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(LIMIT_MS) });
      const text = await answer.text();
      const { code } = JSON.parse(text) as { code?: unknown };
      if (answer.ok) {
        return text;
      }
      // A proxy's error, or an aggregator that starts, may pass.
      if (answer.status < 500 && answer.status !== 429 && typeof code === 'string') {
        return undefined;
      }
    } catch {
      // Not reached, or not an aggregator's answer.
    }
    if (tries === 1) {
      post({
        type: 'trouble',
        trouble: {
          code: 'aggregator_unreachable',
          title: "The federation's server does not answer",
          detail: 'This page keeps trying by itself, and nothing is lost.',
          where: 'open',
        },
      });
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** tries)));
  }
}
