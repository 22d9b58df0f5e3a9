/** Secure sums as seen from outside: settings, the messages on the wire, the record. */
import { createHash } from 'node:crypto';
import type { Page, Request, Route } from '@playwright/test';
import type { Settings } from './house.ts';

/** Milliseconds that a phase waits for somebody who has vanished. */
const PATIENCE_MS = 15_000;

/** Sums of at least `people`; a phase ends at once when all have delivered, and waits a while for those who have not. */
export function secure(people: number, settings: Settings = {}): Settings {
  const phases = ['keys', 'shares', 'masked', 'confirm', 'unmask'].flatMap((phase): [string, number][] => [
    [`federation.secure_sum.${phase}.time_min_ms`, PATIENCE_MS],
    [`federation.secure_sum.${phase}.time_max_ms`, 60_000],
  ]);
  return {
    'federation.secure_sum.cohort_min': people,
    'federation.open.count_min': people,
    'federation.open.time_min_ms': 700,
    'federation.local_steps': 1,
    'federation.rounds': 1,
    ...Object.fromEntries(phases),
    ...settings,
  };
}

/** The messages in the order in which one participant sends them. */
export const KINDS = ['keys', 'shares', 'masked', 'confirm', 'unmask'] as const;
export type Kind = (typeof KINDS)[number];

/** What a request sends to a sum; null for every other request. The body: a version, then the message's number. */
export function kindOf(request: Request): Kind | null {
  if (request.method() !== 'POST' || !/\/rounds\/\d+\/sum$/.test(new URL(request.url()).pathname)) return null;
  return KINDS[request.postDataBuffer()?.[1] ?? -1] ?? null;
}

/** Lets `handle` decide about the page's messages to sums. */
export async function onSums(page: Page, handle: (kind: Kind, route: Route) => Promise<void>): Promise<void> {
  await page.route('**/rounds/*/sum', async (route) => {
    const kind = kindOf(route.request());
    await (kind === null ? route.continue() : handle(kind, route));
  });
}

/** A round of the record. */
export interface RoundEntry {
  round: number;
  step: number;
  aborted: string | null;
  cohort: { senders: number[]; contributors: { participant: number }[] } | null;
  sums: { secure: { groups: { members: number[]; sum: string }[] } } | null;
  epsilon: number | null;
}

/** What anyone can download. */
export class Record {
  private constructor(readonly text: string) {}

  static async of(aggregator: string, federation: string): Promise<Record> {
    const response = await fetch(`${aggregator}/v1/federations/${federation}/record`);
    if (!response.ok) throw new Error(`the aggregator answers ${response.status}`);
    return new Record(await response.text());
  }

  get lines(): string[] {
    return this.text.trimEnd().split('\n');
  }

  /** The hash of the last line. */
  get head(): string {
    return createHash('sha256').update(this.lines.at(-1) ?? '').digest('hex');
  }

  get rounds(): RoundEntry[] {
    return this.lines.flatMap((line) => {
      const { entry } = JSON.parse(line) as { entry: { round?: RoundEntry } };
      return entry.round === undefined ? [] : [entry.round];
    });
  }
}

/** The counters at the end of an opened sum, which stay exact. */
export function counters(entry: RoundEntry): { examples: number; correct: number; total: number } {
  const group = entry.sums?.secure.groups[0];
  if (group === undefined) throw new Error('nothing was summed');
  const bytes = Buffer.from(group.sum, 'base64');
  const fromEnd = (place: number): number => Number(bytes.readBigInt64LE(bytes.length - 8 * place));
  return { examples: fromEnd(7), correct: fromEnd(6), total: fromEnd(5) };
}
