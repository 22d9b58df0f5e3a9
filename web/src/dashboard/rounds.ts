/** The table of rounds, newest first. */
import type { RoundRecord } from '../generated/RoundRecord';
import { accuracyOf } from '../lib/curves';
import { byId, h } from '../lib/dom';
import { bytes, count, moment, percent } from '../lib/format';
import { ABORTED } from '../lib/words';

/** Rows shown before "Show all rounds" is pressed. */
const FEW = 12;

function row(record: RoundRecord): HTMLElement {
  const { metrics, reason } = record;
  const aborted = record.phase === 'aborted';
  const outcome = aborted ? `given up${reason === null ? '' : `: ${ABORTED[reason]}`}` : record.kind === 'counting' ? 'mapping learnt from counts' : 'done';
  const cell = (text: string): HTMLElement => h('td', {}, text);
  return h(
    'tr',
    { 'data-phase': record.phase, 'data-round': record.round },
    h('th', { scope: 'row' }, count(record.round + 1)),
    cell(outcome),
    cell(`${count(record.delivered)} of ${count(record.cohort)}`),
    cell(percent(accuracyOf(metrics))),
    cell(metrics.total > 0 ? (metrics.loss / metrics.total).toFixed(2) : '–'),
    cell(count(metrics.queries)),
    cell(bytes(record.bytes_up)),
    cell(record.epsilon === null ? '–' : record.epsilon.toFixed(2)),
    cell(moment(record.finished_at)),
  );
}

export class RoundsTable {
  private all = false;
  private rounds: readonly RoundRecord[] = [];

  constructor() {
    byId('rounds-all', HTMLButtonElement).addEventListener('click', () => {
      this.all = true;
      this.draw();
    });
  }

  set(rounds: readonly RoundRecord[]): void {
    if (rounds === this.rounds) return;
    this.rounds = rounds;
    this.draw();
  }

  private draw(): void {
    const newestFirst = [...this.rounds].reverse();
    const shown = this.all ? newestFirst : newestFirst.slice(0, FEW);
    const none = h('tr', {}, h('td', { colspan: 9 }, 'No round is complete yet.'));
    byId('rounds', HTMLTableSectionElement).replaceChildren(...(shown.length === 0 ? [none] : shown.map(row)));
    byId('rounds-more', HTMLElement).hidden = this.all || newestFirst.length <= FEW;
  }
}
