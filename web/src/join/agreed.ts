/** What the owner agreed to, and what of it has changed since. Pure. */
import type { Agreement } from '../generated/Agreement';
import type { FromWorker } from '../worker/protocol';
import { plural, probability } from '../lib/format';

/** A term that is not what was agreed to, in words. */
export interface Change {
  what: string;
  before: string;
  now: string;
}

/** The terms of taking part in a federation that was opened, with the aggregator at the origin `aggregator`. The same as `Agreement::of` in Rust. */
export function agreementOf(opened: Pick<Extract<FromWorker, { type: 'opened' }>, 'modelUrl' | 'summary' | 'sum' | 'noise' | 'task'>, aggregator: string): Agreement {
  const { generator } = (opened.task ?? {}) as { generator?: { kind?: unknown } };
  return {
    model: opened.modelUrl,
    task: opened.summary.task_hash,
    aggregator,
    people: opened.sum?.people ?? null,
    epsilon: opened.noise?.epsilon ?? null,
    delta: opened.noise?.delta ?? null,
    generator: typeof generator?.kind === 'string' ? generator.kind : '',
  };
}

/** What has changed, the weightiest first. Without a note of what was agreed to (`before` is null) nothing of it is known to be the same. */
export function changes(before: Agreement | null, now: Agreement): Change[] {
  const terms: [what: string, of: (terms: Agreement) => string][] = [
    ['The model', ({ model }) => model],
    ['The organiser’s server', ({ aggregator }) => aggregator],
    ['What the organiser sees', ({ people }) => (people === null ? 'each list of numbers by itself' : `only sums over at least ${plural(people, 'person', 'people')}`)],
    ['Noise', ({ epsilon, delta }) => (epsilon === null || delta === null ? 'none' : `ε at most ${epsilon}, at δ = ${probability(delta)}`)],
    ['What is searched for', ({ generator }) => (generator === '' ? 'the usual kind of prompt' : generator)],
    ['The task’s fingerprint', ({ task }) => task.slice(0, 16)],
  ];
  return terms.flatMap(([what, of]) => {
    const was = before === null ? null : of(before);
    const is = of(now);
    return was === is ? [] : [{ what, before: was ?? 'not noted', now: is }];
  });
}

/** Reads a stored agreement; null if there is none, or it was not written by this version of the page. */
export function readAgreement(bytes: Uint8Array | undefined): Agreement | null {
  if (bytes === undefined) return null;
  try {
    const read = JSON.parse(new TextDecoder().decode(bytes)) as Agreement | null;
    return typeof read?.model === 'string' && typeof read.task === 'string' ? read : null;
  } catch {
    return null;
  }
}

/**
 * A sentence about a model at another host than the page's, or null where it is at the same one. `fromLink`: its address is in
 * the link, and not what the organiser's task says.
 */
export function elsewhere(model: string, page: string, fromLink: boolean): string | null {
  const host = new URL(model).host;
  if (fromLink) return `The link that you opened names this address, not the organiser: if you did not choose ${host} yourself, do not go on.`;
  return new URL(model).hostname === new URL(page).hostname ? null : `This is not the organiser’s own host: the organiser’s server is ${new URL(page).host}, and the task names ${host}.`;
}
