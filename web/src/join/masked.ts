/**
 * What the organiser’s server saw of this participant in the last round: its change, the masked numbers that were sent in
 * its place, and the sum that was opened. Loaded when the training begins.
 */
import type { Confirmed } from '../generated/Confirmed';
import type { MaskedUpdate } from '../generated/MaskedUpdate';
import { recordLines } from '../lib/api';
import { h } from '../lib/dom';
import { bytes, count, fingerprint, plural } from '../lib/format';
import { heatCanvas, order } from '../lib/heat';
import { fill, type Inputs } from '../lib/inputs';
import { floats, integers, leadTo, parseRound, sampled, type RoundLine } from '../lib/record';
import type { FromWorker, TrainingProgress } from '../worker/protocol';
import '../styles/sums.css';

/** Number of participants who are listed one by one. */
const LISTED = 60;

/** What has been checked: yes, no, or not yet. */
export type Check = { state: 'yes' | 'no' | 'open'; text: string };

/** A round in which this participant sent masked numbers. */
export interface OwnRound {
  update: MaskedUpdate;
  /** The change, and the entries of the masked vector without the counters after them. */
  change: number[];
  sent: number[];
  /** Number of bytes of the masked vector. */
  bytes: number;
  confirmed: Confirmed | null;
  /** What the record says of it; null before the round has ended. */
  line: RoundLine | null;
  /** Whether the lines shown lead to the record that this browser recomputed; null if that cannot be found out here. */
  leads: boolean | null;
}

/** This participant’s own number, which only its masked vector’s hash tells. */
export function ownNumber({ update, line }: OwnRound): number | null {
  return line?.contributors.find(({ vector }) => vector === update.vector)?.participant ?? null;
}

/** The opened sum with this participant’s change in it. */
export function ownSum(round: OwnRound): { members: number[]; numbers: number[] } | null {
  const me = ownNumber(round);
  const group = me === null ? undefined : round.line?.groups.find(({ members }) => members.includes(me));
  return group === undefined ? null : { members: group.members, numbers: group.sum.slice(0, round.change.length) };
}

/** What this browser has checked of the round. */
export function checks(round: OwnRound, inputs: Inputs): Check[] {
  const { update, confirmed, line, leads } = round;
  const print = `SHA-256 ${fingerprint(update.vector)} …`;
  const own = ownNumber(round);
  const told: Check = confirmed === null ? { state: 'open', text: 'So far this browser has given away no share that would help to open the sum.' } : { state: 'yes', text: `At least ${count(confirmed.least)} of ${plural(confirmed.members, 'participant')} had signed who is in the sum before this browser gave away a share of a mask.` };
  if (line === null) return [{ state: 'open', text: `The masked numbers (${print}) will be looked for in the record when the round has ended.` }, told];
  const found: Check =
    leads === false
      ? { state: 'no', text: 'The record that the server shows here is not the one that this browser recomputed.' }
      : own !== null
        ? { state: 'yes', text: `The masked numbers are in the public record just as they were sent (${print}).` }
        : { state: 'open', text: 'The masked numbers were not taken in this round, so they are in no sum.' };
  const recomputed: Check = { state: leads === null ? 'open' : leads ? 'yes' : 'no', text: fill('Everyone’s {prompt} was recomputed from the public record, this round included.', inputs) };
  // The Worker stops loudly at a record that does not follow; without SHA-256 the page itself cannot compare the line that it shows.
  return [found, told, leads === null ? { ...recomputed, text: `${recomputed.text} Whether the line shown here is the same one can only be compared on a page that came over HTTPS.` } : recomputed];
}

const MARKS = { yes: ['✓', 'checked: '], no: ['✗', 'wrong: '], open: ['…', 'open: '] } as const;

/** A list of checks with marks. */
export function checkList(all: readonly Check[]): HTMLElement {
  const item = ({ state, text }: Check): HTMLElement => h('li', { 'data-state': state }, h('span', { class: 'mark', 'aria-hidden': 'true' }, MARKS[state][0]), h('span', {}, h('span', { class: 'visually-hidden' }, MARKS[state][1]), text));
  return h('ul', { class: 'checks', 'data-testid': 'seen-checks' }, ...all.map(item));
}

function figure(id: { 'data-testid': string }, picture: HTMLElement, title: string, text: string): HTMLElement {
  return h('figure', id, picture, h('figcaption', {}, h('strong', {}, title), text));
}

export class MaskedView {
  /** The round that is shown, and one that has not ended yet. */
  private shown: OwnRound | null = null;
  private next: OwnRound | null = null;
  private fetching = false;

  /** Shows itself in `place`. `secure`: whether changes are summed under masks. */
  constructor(
    private readonly place: HTMLElement,
    private readonly federation: string,
    private readonly inputs: Inputs,
    secure: boolean,
  ) {
    if (secure) this.body(h('p', { class: 'small' }, 'This appears as soon as this tab sends its first change.'));
    else this.body(h('p', { class: 'trouble', 'data-testid': 'seen-plain' }, h('strong', {}, 'It sees your change itself, number for number.'), ' This federation does not hide single changes under masks.'));
  }

  /** This tab is about to send masked numbers. */
  masked({ update, change, sent }: FromWorker & { type: 'masked' }): void {
    if (update.vector === this.next?.update.vector || update.vector === this.shown?.update.vector) return;
    const numbers = floats(change);
    this.next = { update, change: numbers, sent: integers(sent, update.entry_bytes).slice(0, numbers.length), bytes: sent.length, confirmed: null, line: null, leads: null };
    if (this.shown === null) this.draw(this.next);
  }

  /** The round went on, or the record grew. */
  progress({ confirmed, record }: TrainingProgress): void {
    const round = this.next;
    if (round === null) return;
    if (confirmed?.round === round.update.round) round.confirmed = confirmed;
    if (record !== null && record.lines > round.update.round + 1 && !this.fetching) void this.conclude(round, record);
  }

  /** Reads what the record says of the round. Without an answer, the next progress tries again. */
  private async conclude(round: OwnRound, record: { lines: number; head: string }): Promise<void> {
    this.fetching = true;
    try {
      const from = round.update.round + 1;
      const lines = (await recordLines(this.federation, from)).slice(0, record.lines - from);
      round.line = parseRound(lines[0] ?? '');
      if (round.line === null) return;
      round.leads = await leadTo(lines, record.head);
      this.shown = round;
      if (this.next === round) this.next = null;
      this.draw(round);
    } catch {
      // The server is away; the Worker says so.
    } finally {
      this.fetching = false;
    }
  }

  private body(...children: (Node | string)[]): void {
    this.place.replaceChildren(h('h2', { id: 'seen-title' }, 'What the organiser’s server saw of you'), ...children);
    this.place.hidden = false;
  }

  private draw(round: OwnRound): void {
    const { update, line } = round;
    const sum = ownSum(round);
    // In the order of the change, its own picture is a slope, and so is anything of it that another one has.
    const places = order(sampled(round.change));
    const ordered = (numbers: readonly number[]): number[] => {
      const shown = sampled(numbers);
      return places.map((at) => shown[at] ?? 0);
    };
    const [mine, sent] = [ordered(round.change), ordered(round.sent)];
    const things = update.kind === 'counting' ? 'counts of the model’s answers' : 'change';
    const many = round.change.length > mine.length ? `${count(mine.length)} of ${count(round.change.length)}` : count(mine.length);
    const opened = line === null ? 'The sum is not opened yet.' : line.aborted !== null ? 'The round was given up: no sum was opened.' : 'The sum of this round is without you.';
    const people = sum?.members.length ?? 0;
    this.place.dataset['value'] = String(update.round);
    this.place.dataset['state'] = line === null ? 'open' : 'ended';
    this.body(
      h('p', {}, `Round ${count(update.round + 1)}. Each square is one number of your ${things} (${many}): green above zero, orange below, and the stronger the larger. All three pictures are in the order of your ${things}, so that whatever is known of it shows as a slope from orange to green. Each is scaled to its own largest number.`),
      h(
        'div',
        { class: 'heats' },
        figure({ 'data-testid': 'seen-update' }, heatCanvas(mine, `Your ${things}, ${count(mine.length)} numbers`), `Your ${things}`, 'It stays in this browser.'),
        figure({ 'data-testid': 'seen-masked' }, heatCanvas(sent, 'What the server received from this tab: noise without a pattern'), 'What the server received from this tab', `The same under random masks, ${bytes(round.bytes)}. To the server it is noise.`),
        sum === null
          ? figure({ 'data-testid': 'seen-sum' }, h('div', { class: 'heat heat-none' }, opened), 'The sum', 'Masks cancel out only in the sum of everyone’s numbers.')
          : figure({ 'data-testid': 'seen-sum' }, heatCanvas(ordered(sum.numbers), `The sum over ${plural(people, 'person', 'people')}`), `The sum over ${plural(people, 'person', 'people')}`, 'Here the masks cancel out. This and sums of counts, such as right answers, are all that the server can open, and they are public.'),
      ),
      ...(sum === null ? [] : [h('h3', { id: 'seen-who' }, 'Who is in the sum'), members(sum.members, ownNumber(round))]),
      h('h3', {}, 'What this browser checked'),
      checkList(checks(round, this.inputs)),
    );
  }
}

function members(numbers: readonly number[], me: number | null): HTMLElement {
  const first = me === null ? numbers : [me, ...numbers.filter((number) => number !== me)];
  const items = first.slice(0, LISTED).map((number) => h('li', { class: number === me ? 'you' : null }, number === me ? `you (participant ${number})` : `participant ${number}`));
  const rest = first.length - items.length;
  return h('ul', { class: 'members', 'data-testid': 'seen-members', 'aria-labelledby': 'seen-who' }, ...items, rest > 0 && h('li', {}, `and ${count(rest)} more`));
}
