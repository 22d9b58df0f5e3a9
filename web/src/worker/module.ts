/**
 * Which wasm module a federation needs: the one with secure sums, draws, texts, models on this device, learnt mappings and every
 * generator is larger, and only those whose task has one of them load it; larger still is the one that calls any model. The announced
 * task decides, before any is loaded.
 */
import init, * as plain from '../../wasm/client_wasm';
import type { Session as LargerSession, TextLoader } from '../../wasm-full/client_wasm_full';
import type { Session as AnySession } from '../../wasm-any/client_wasm_any';
import type { Embeddings } from '../../wasm-on-device/on_device';
import type { Answer } from '../device/protocol';
import { inputsOf, runsHere } from '../lib/inputs';
import type { Post } from './host';
import type { ToWorker } from './protocol';

/** What all modules have. */
export type Module = typeof plain;
/** Reads texts; the larger module has it. */
export type TextLoaderClass = new (session: plain.Session) => TextLoader;

/** What the larger module has for a model on this device. */
export interface OnDevice {
  useDevice(device: { ask(url: string, headerLength: string | undefined, body: Uint8Array<ArrayBuffer>, cancelled: AbortSignal): Promise<Answer> }): void;
  /** The JSON of a `DeviceModel`. */
  modelOf(session: plain.Session): string | undefined;
}

/** What the largest module has where prompts are sent as embeddings. */
export interface AsEmbeddings {
  use(embeddings: Embeddings): void;
  /** The JSON of an `EmbeddingsModel`. */
  modelOf(session: plain.Session): string | undefined;
}

export interface Choice {
  module: Module;
  /** The aggregator's answer, so that it is not asked twice; nothing where it refused: the module says so in words. */
  detail: string | undefined;
  /** In a federation of texts. */
  texts: TextLoaderClass | undefined;
  /** Where the model runs on this device. */
  onDevice: OnDevice | undefined;
  /** Where any model can be called. */
  embeddings: AsEmbeddings | undefined;
}

const LIMIT_MS = 20_000;
const LONGEST_WAIT_MS = 30_000;

/** The module for the federation, instantiated. Waits for the aggregator as long as it takes. */
export async function choose(message: ToWorker & { type: 'open' }, post: Post): Promise<Choice> {
  const detail = await announced(message, post);
  if (detail === undefined || !needsLarger(detail)) {
    await init();
    return { module: plain, detail, texts: undefined, onDevice: undefined, embeddings: undefined };
  }
  const larger = callsOtherwise(taskOf(detail)?.model ?? {}) ? await import('../../wasm-any/client_wasm_any') : await import('../../wasm-full/client_wasm_full');
  await larger.default();
  // Builds of one crate: the same classes, but of private fields, which TypeScript tells apart.
  const module = larger as unknown as Module & { TextLoader: TextLoaderClass };
  const task = taskOf(detail);
  const modelOf = (session: plain.Session) => (session as unknown as LargerSession).deviceModel();
  return {
    module,
    detail,
    texts: inputsOf(task) === 'texts' ? module.TextLoader : undefined,
    onDevice: runsHere(task) ? { useDevice: larger.useDevice, modelOf } : undefined,
    embeddings: 'useEmbeddings' in larger ? { use: larger.useEmbeddings, modelOf: (opened) => (opened as unknown as AnySession).embeddingsModel() } : undefined,
  };
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

/** Forms of images that only the largest module sends. */
const FORMS = ['colour', 'encoding', 'flat', 'json', 'quality', 'unbatched'];

/** Is the model called in another way than by tensors over the Open Inference Protocol, free of charge? */
function callsOtherwise(model: NonNullable<Announced['model']>): boolean {
  return (
    !['open-inference', 'on-device'].includes(String(model.dialect ?? 'open-inference')) ||
    model.price !== undefined ||
    model.version !== undefined ||
    model.calls?.cache !== undefined ||
    FORMS.some((form) => model.input?.[form] !== undefined)
  );
}

/**
 * Does the task of this `FederationDetail` have secure sums, draws, texts, a model on this device, another way of calling it, a mapping to
 * learn, or what only comes with further generators and optimisers?
 */
export function needsLarger(detail: string): boolean {
  const task = taskOf(detail);
  return (
    task?.federation?.secure_sum !== undefined ||
    (task?.federation?.active ?? 0) !== 0 ||
    inputsOf(task) === 'texts' ||
    callsOtherwise(task?.model ?? {}) ||
    runsHere(task) ||
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
