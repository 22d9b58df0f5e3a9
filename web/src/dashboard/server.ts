/**
 * The organiser’s view: what the server has of the last round’s participants, the only numbers that it could open, and
 * what it cannot see. All of it is in the public record, so anyone may look. Loaded on demand.
 */
import type { FederationDetail } from '../generated/FederationDetail';
import { recordLines } from '../lib/api';
import { h, setText } from '../lib/dom';
import { bytes, count, fingerprint, moment, percent, plural } from '../lib/format';
import { heatCanvas } from '../lib/heat';
import { fill, inputsOf } from '../lib/inputs';
import { parseRound, sampled, type RoundLine } from '../lib/record';
import { phase } from '../lib/words';
import '../styles/sums.css';

/** Number of participants and of groups that are listed one by one. */
const LISTED = 50;
const GROUPS = 4;

/** What never reaches the server, in the words of the federation’s kind of inputs. */
export function hidden(inputs: 'images' | 'texts', noise: boolean): string[] {
  return [
    fill('anyone’s {items}', inputs),
    'anyone’s labels',
    'anyone’s API key for the model',
    'the change that any one participant suggests',
    'how many examples any one participant has, and how many of them the model gets right',
    ...(noise ? ['the exact sum: every participant adds noise before masking'] : []),
  ];
}

export class ServerView {
  private lines = -1;
  private fetching = false;
  private readonly live = h('p', { class: 'small' });
  private readonly round = h('div', {});

  constructor(
    private readonly place: HTMLElement,
    private readonly federation: string,
  ) {}

  detail(detail: FederationDetail): void {
    if (this.place.hidden) this.appear(detail);
    const { summary, current } = detail;
    setText(this.live, summary.status === 'running' ? `Right now: ${phase(current, inputsOf(detail.task))}.` : 'No round is under way.');
    if (summary.secure && current.lines !== this.lines && !this.fetching) void this.read(detail);
  }

  private appear({ summary, task }: FederationDetail): void {
    const title = h('h2', { id: 'server-view-title' }, 'Organiser’s view: what this server has of each participant');
    if (summary.secure) {
      const items = hidden(inputsOf(task), summary.privacy !== null).map((what) => h('li', {}, what));
      this.place.replaceChildren(title, this.live, h('div', { class: 'has' }, this.round, h('div', { 'data-testid': 'server-cannot-see' }, h('h3', {}, 'It cannot see'), h('ul', {}, ...items))));
    } else {
      const own = 'It receives every participant’s change itself, with the number of examples and of right answers. This federation does not hide single changes under masks.';
      this.place.replaceChildren(title, h('p', { class: 'trouble', 'data-testid': 'server-sees-all' }, own), this.live);
    }
    this.place.hidden = false;
    // The browser looked for the place before it was there.
    if (location.hash === `#${this.place.id}`) this.place.scrollIntoView();
  }

  /** Shows the last line of the record, if it is a round whose masked numbers were taken. Without an answer, the next news tries again. */
  private async read(detail: FederationDetail): Promise<void> {
    const { lines } = detail.current;
    this.fetching = true;
    try {
      const [last] = await recordLines(this.federation, lines - 1);
      const line = parseRound(last ?? '');
      this.lines = lines;
      if (line !== null && line.contributors.length > 0) this.show(line, detail);
      else if (this.round.childElementCount === 0) this.round.replaceChildren(h('p', {}, 'No masked numbers have come in yet.'));
    } catch {
      // The page says that the connection is lost.
    } finally {
      this.fetching = false;
    }
  }

  private show(line: RoundLine, { rounds, task }: FederationDetail): void {
    const { contributors, groups } = line;
    const told = rounds.find(({ round }) => round === line.round);
    const each = told === undefined ? null : told.bytes_up / contributors.length;
    const rows = contributors.slice(0, LISTED).map(({ participant, vector }) =>
      h('tr', {}, h('th', { scope: 'row' }, `participant ${participant}`), h('td', {}, h('code', { title: vector }, `${fingerprint(vector)} …`))),
    );
    const rest = contributors.length - rows.length;
    const facts = [each === null ? '' : `about ${bytes(each)} from each`, told === undefined ? '' : `round ended ${moment(told.finished_at)}`].filter((fact) => fact !== '').join(', ');
    const sums = groups.slice(0, GROUPS).map(({ members, sum }) => {
      const title = `The sum over ${plural(members.length, 'person', 'people')}`;
      return h('figure', {}, heatCanvas(sampled(sum), `${title}; green above zero, orange below`), h('figcaption', {}, h('strong', {}, title), line.aborted === null ? 'Opened with the participants’ help, and public.' : ''));
    });
    const metrics = told !== undefined && told.metrics.total > 0 ? `With it came sums over everyone: ${percent(told.metrics.correct / told.metrics.total)} right answers on about ${fill(plural(told.metrics.total, 'held-out {item}', 'held-out {items}'), inputsOf(task))}.` : '';
    this.round.replaceChildren(
      h('h3', { id: 'server-has' }, `Of round ${count(line.round + 1)} it has`),
      h('p', { class: 'small' }, `From each participant one row of masked numbers, noise to it${facts === '' ? '' : ` (${facts})`}. The public record keeps their SHA-256, so that nobody’s can be left out or replaced unnoticed. The server also knows when each participant connected, and from which network address.`),
      h(
        'div',
        { class: 'scroll', tabindex: 0, role: 'region', 'aria-labelledby': 'server-has' },
        h('table', { 'data-testid': 'server-has' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'From'), h('th', { scope: 'col' }, 'SHA-256 of it'))), h('tbody', {}, ...rows)),
      ),
      ...(rest > 0 ? [h('p', { class: 'small' }, `and ${count(rest)} more`)] : []),
      h('h3', {}, 'The only numbers that it can open'),
      sums.length > 0 ? h('div', { class: 'heats', 'data-testid': 'server-sum' }, ...sums) : h('p', {}, 'None: the round was given up before its sum was opened.'),
      ...(metrics === '' ? [] : [h('p', { class: 'small' }, metrics)]),
    );
    this.place.dataset['value'] = String(line.round);
  }
}
