/**
 * What the page and its Worker say to each other.
 *
 * The Worker owns the wasm, the owner's data and the API key; the page only shows things. No message carries
 * a whole data set back to the page, only the few examples that it shows.
 */
import type { Agreement } from '../generated/Agreement';
import type { Choice } from '../generated/Choice';
import type { Confirmed } from '../generated/Confirmed';
import type { FederationSummary } from '../generated/FederationSummary';
import type { MaskedUpdate } from '../generated/MaskedUpdate';
import type { OwnPoint } from '../generated/OwnPoint';
import type { PrivacySpent } from '../generated/PrivacySpent';
import type { RoundView } from '../generated/RoundView';
import type { StopReason } from '../generated/StopReason';

/** Where examples come from. */
export type DataSource =
  | { kind: 'builtin'; owner: number; count: number }
  | { kind: 'files'; files: { path: string; file: File }[] }
  /** Lines of labels and texts. */
  | { kind: 'pasted'; content: string }
  | { kind: 'drawn'; drawings: { label: string; width: number; height: number; rgba: Uint8ClampedArray }[] };

export type BackendChoice = 'auto' | 'cpu' | 'webgpu';

export type ToWorker =
  /** First message. The aggregator is the page's own origin; the model URL replaces the task's when given. */
  | { type: 'open'; federation: string; invite: string | null; aggregator: string; modelUrl: string | null; backend: BackendChoice; prepare: boolean }
  /** Asks the model API for its description and one harmless answer. */
  | { type: 'check-model'; apiKey: string | null }
  | { type: 'load-data'; source: DataSource }
  /** The owner agrees to these terms, which are stored with the data. */
  | { type: 'agree'; agreement: Agreement }
  /** Training starts. */
  | { type: 'start' }
  | { type: 'pause' }
  | { type: 'resume' }
  /** Leaves the federation and forgets everything stored here. */
  | { type: 'leave' }
  /** Compares the model's answers to held-out examples without a prompt and with the current one. */
  | { type: 'pictures'; count: number }
  /** The tab became visible: sync at once. */
  | { type: 'visible' };

/** An error for the person: what happened, and what to do. `code` is stable. */
export interface Trouble {
  code: string;
  title: string;
  detail: string;
  /** Which part of the page it belongs to. */
  where: 'open' | 'model' | 'data' | 'training' | 'storage';
}

export interface Backend {
  name: 'cpu' | 'webgpu';
  /** One sentence: why this one. */
  reason: string;
  /** Milliseconds of this task's own step on each, where measured. */
  cpuMs: number | null;
  webgpuMs: number | null;
  adapter: string | null;
}

export interface DataReport {
  counts: { label: string; training: number; holdout: number }[];
  total: number;
  /** Files or rows that were skipped, with the reason, at most 20, and how many there were in all. */
  skipped: { name: string; reason: string }[];
  skippedTotal: number;
  warnings: string[];
  /** A few examples as the model will see them. */
  samples: (PictureSample | TextSample)[];
  /** For texts, once they are loaded: the mean size in bytes of a question about one. */
  bytesPerQuery?: number;
}

export interface PictureSample {
  label: string;
  width: number;
  height: number;
  rgba: Uint8ClampedArray;
}

/** Long texts are cut. */
export interface TextSample {
  label: string;
  first: string;
  /** The second text of a pair, or empty. */
  second: string;
}

/** A text of the held-out part, and the model's answers to it without a prompt and with the one in use. */
export interface AnsweredText extends TextSample {
  answerBefore: string;
  answerNow: string;
  scoreBefore: number;
  scoreNow: number;
}

/** What this browser insists on where changes are summed under masks. */
export interface SumTerms {
  /** No sum of fewer people can be opened. */
  people: number;
  /** No smaller cohort begins a sum. */
  cohort: number;
  /** Number of sums in each round, each over a part of the people. */
  groups: number;
}

/** The limits that no participant, or no example, exceeds where changes carry noise. */
export interface NoiseTerms {
  epsilon: number;
  delta: number;
  /** Whether they hold for each single example and not for a participant as a whole. */
  examples: boolean;
}

export interface Picture {
  label: string;
  width: number;
  height: number;
  original: Uint8ClampedArray;
  /** (prompted − original)/2 around mid grey. */
  prompt: Uint8ClampedArray;
  prompted: Uint8ClampedArray;
  answerBefore: string;
  answerNow: string;
  scoreBefore: number;
  scoreNow: number;
}

export interface TrainingProgress {
  activity: 'paused' | 'syncing' | 'loading' | 'fitting' | 'resting' | 'measuring' | 'training' | 'waiting' | 'uploading' | 'stopped';
  localStep: number;
  localSteps: number;
  view: RoundView | null;
  /** Accuracy of the model without a prompt on this owner's held-out examples, 0 to 1. */
  before: number | null;
  /** Measurements on this owner's held-out examples, by number of θ updates. */
  curve: OwnPoint[];
  delivered: number;
  queries: number;
  queryBudget: number;
  bytesToModel: number;
  bytesFromModel: number;
  bytesToAggregator: number;
  bytesFromAggregator: number;
  stopped: StopReason | null;
  /** With `inconsistent`: the contradiction that was found. */
  suspicion: string | null;
  /** The privacy that this participant's changes have cost, where they carry noise. */
  privacy: PrivacySpent | null;
  /** What the record says is to be kept; null as long as it has no measurement on held-out examples. */
  choice: Choice | null;
  /** The federation's record as far as this browser has read and checked it. */
  record: { lines: number; head: string } | null;
  /** Number of pictures that were ready before they were asked. */
  prepared: number;
  /** Milliseconds of the last step: rendering and asking. */
  renderMs: number | null;
  askMs: number | null;
  /** In a federation of texts: the prompt in use, as words. */
  prompt?: string;
  /** The others for whom the round waits, now that this browser has done its part: how many are there, and the minimum. */
  awaited: { here: number; needed: number } | null;
  /** The confirmations after which this browser released its last share for a sum. */
  confirmed: Confirmed | null;
  /** What was spent, where calls cost money. */
  spent?: { amount: number; budget: number; currency: string };
}

export type FromWorker =
  /** This browser keeps something of this federation, under these terms (null if it has no note of them). Comes before `opened`. */
  | { type: 'stored'; agreement: Agreement | null }
  | {
      type: 'opened';
      summary: FederationSummary;
      task: unknown;
      labels: string[];
      modelUrl: string;
      modelOrigin: string;
      backend: Backend;
      /** This browser took part before: data and state are here, training can go on at once. */
      resumable: boolean;
      participant: number | null;
      /** What taking part will cost at most. */
      trainingQueries: number;
      bytesPerQuery: number;
      bytesPerUpdate: number;
      sum: SumTerms | null;
      noise: NoiseTerms | null;
      /** In a federation of texts: a word for each label, and what is asked without a prompt. */
      text?: { words: string[]; shown: string };
    }
  /** A model for this device is being fetched: bytes so far and in all, 0 if the total is not known. */
  | { type: 'model-progress'; done: number; total: number }
  | {
      type: 'model-checked';
      name: string;
      milliseconds: number;
      /** Milliseconds until the harmless question was answered. */
      answerMs: number;
      answer: { label: string | null; class: number; share: number };
      /** What one request may hold, if the server says so. */
      maxBatch: number | null;
    }
  | { type: 'data-progress'; done: number; total: number }
  | { type: 'data-loaded'; report: DataReport }
  | { type: 'backend'; backend: Backend }
  | { type: 'progress'; progress: TrainingProgress }
  /** A change that is being sent under masks; may come more than once. The change is little-endian 32-bit floating-point numbers; what is sent, the bytes of the masked vector. */
  | { type: 'masked'; update: MaskedUpdate; change: Uint8ClampedArray; sent: Uint8ClampedArray }
  | { type: 'pictures'; pictures: Picture[] }
  | { type: 'texts'; texts: AnsweredText[] }
  | { type: 'trouble'; trouble: Trouble }
  /** Another tab of this browser runs this federation (Web Locks). */
  | { type: 'elsewhere' }
  /** The wasm instance is dead; the page starts a new Worker, which goes on from storage. */
  | { type: 'fatal'; message: string };
