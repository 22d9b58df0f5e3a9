/**
 * Which wasm module a federation needs: the one with secure sums, draws, texts, learnt mappings and every generator is larger, and
 * only those whose task has one of them load it. The announced task decides, before either is loaded.
 */
import init, * as plain from '../../wasm/client_wasm';
import type { TextLoader } from '../../wasm-full/client_wasm_full';
import { inputsOf } from '../lib/inputs';
import type { Post } from './host';
import type { ToWorker } from './protocol';

/** What both modules have. */
export type Module = typeof plain;
/** Reads texts; the larger module has it. */
export type TextLoaderClass = new (session: plain.Session) => TextLoader;

export interface Choice {
  module: Module;
  /** The aggregator's answer, so that it is not asked twice; nothing where it refused: the module says so in words. */
  detail: string | undefined;
  /** In a federation of texts. */
  texts: TextLoaderClass | undefined;
}

const LIMIT_MS = 20_000;
const LONGEST_WAIT_MS = 30_000;

/** The module for the federation, instantiated. Waits for the aggregator as long as it takes. */
export async function choose(message: ToWorker & { type: 'open' }, post: Post): Promise<Choice> {
  const detail = await announced(message, post);
  if (detail === undefined || !needsLarger(detail)) {
    await init();
    return { module: plain, detail, texts: undefined };
  }
  const larger = await import('../../wasm-full/client_wasm_full');
  await larger.default();
  // Two builds of one crate: the same classes, but of private fields, which TypeScript tells apart.
  const module = larger as unknown as Module & { TextLoader: TextLoaderClass };
  return { module, detail, texts: inputsOf(taskOf(detail)) === 'texts' ? module.TextLoader : undefined };
}

interface Announced {
  federation?: { secure_sum?: unknown; active?: unknown };
  generator?: { kind?: unknown; reparametrisation?: unknown };
  loss?: { kind?: unknown };
  mapping?: { kind?: unknown; calibrate?: unknown };
  model?: { calls?: { cache?: unknown }; dialect?: unknown; input?: Record<string, unknown>; price?: unknown; version?: unknown };
  optimizer?: { decay?: unknown; kind?: unknown };
}

/** The task of a `FederationDetail`. */
function taskOf(detail: string): Announced | undefined {
  return (JSON.parse(detail) as { task?: Announced }).task;
}

/** Forms of images that only the larger module sends. */
const FORMS = ['colour', 'encoding', 'flat', 'json', 'quality', 'unbatched'];

/** Is the model called in another way than by tensors over the Open Inference Protocol, free of charge? */
function callsOtherwise(model: NonNullable<Announced['model']>): boolean {
  return (
    (model.dialect ?? 'open-inference') !== 'open-inference' ||
    model.price !== undefined ||
    model.version !== undefined ||
    model.calls?.cache !== undefined ||
    FORMS.some((form) => model.input?.[form] !== undefined)
  );
}

/** Does the task of this `FederationDetail` have secure sums, draws, texts, another way of calling the model, a mapping to learn, or what only comes with further generators and optimisers? */
export function needsLarger(detail: string): boolean {
  const task = taskOf(detail);
  return (
    task?.federation?.secure_sum !== undefined ||
    (task?.federation?.active ?? 0) !== 0 ||
    inputsOf(task) === 'texts' ||
    callsOtherwise(task?.model ?? {}) ||
    task?.mapping?.kind === 'frequency' ||
    task?.mapping?.calibrate === true ||
    task?.optimizer?.kind === 'cma-es' ||
    task?.optimizer?.kind === 'hiso' ||
    task?.optimizer?.decay === 'polynomial' ||
    task?.loss?.kind === 'focal' ||
    task?.generator?.reparametrisation !== undefined ||
    (task?.generator?.kind ?? 'statistic') !== 'statistic'
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
