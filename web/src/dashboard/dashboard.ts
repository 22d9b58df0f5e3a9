/** The public dashboard of one federation, updated live. */
import type { FederationDetail } from '../generated/FederationDetail';
import { generatorPath, recordPath } from '../lib/api';
import { Chart } from '../lib/charts';
import { align, federationCurve } from '../lib/curves';
import { byId, find, h, setText } from '../lib/dom';
import { count, fingerprint, moment, percent, plural } from '../lib/format';
import { fill, inputsOf, showInputs } from '../lib/inputs';
import type { ApiError } from '../lib/problem';
import { FederationFeed, type Connection } from '../lib/sse';
import { taskInWords } from '../lib/task';
import { kept, phase, phaseShare, spent, STATUS } from '../lib/words';
import { troubleBox } from '../lib/trouble';
import { RoundsTable } from './rounds';
import type { ServerView } from './server';

const CONNECTION: Record<Connection, string> = { connecting: 'connecting…', live: 'live', lost: 'connection lost, trying again…' };
/** Announcements to screen readers are at least this far apart. */
const ANNOUNCE_MS = 20_000;

function put(id: string, text: string, value: number | null = null): void {
  const element = find(document, `#dashboard [data-testid="${id}"]`, HTMLElement);
  setText(element, text);
  if (value !== null) element.dataset['value'] = String(value);
}

export class Dashboard {
  private readonly rounds = new RoundsTable();
  private readonly accuracy: Chart;
  private readonly loss: Chart;
  private drawn = '';
  private taskHash = '';
  private announced = 0;
  private server: Promise<ServerView> | null = null;

  constructor(private readonly id: string) {
    // A chart measures its box, so the box must be visible.
    byId('dashboard', HTMLElement).hidden = false;
    const series = [{ label: 'Federation', colour: '--federation' }];
    this.accuracy = new Chart(byId('chart-accuracy', HTMLElement), { title: 'Right answers by round', series, format: percent, range: [0, 1] });
    this.loss = new Chart(byId('chart-loss', HTMLElement), { title: 'Loss by round', series, format: (value) => value.toFixed(value < 10 ? 2 : 0), range: null });
    const feed = new FederationFeed(
      id,
      (detail) => this.detail(detail),
      (connection, error) => this.connection(connection, error),
    );
    byId('download-generator', HTMLAnchorElement).href = generatorPath(id);
    byId('record-download', HTMLAnchorElement).href = recordPath(id);
    feed.start();
  }

  private connection(connection: Connection, error: ApiError | null): void {
    const line = byId('connection', HTMLElement);
    line.dataset['state'] = connection;
    setText(line, CONNECTION[connection]);
    const slot = byId('trouble', HTMLElement);
    if (error !== null) slot.replaceChildren(troubleBox({ code: error.code, title: error.title, detail: error.detail, where: 'open' }, null));
    else if (connection === 'live') slot.replaceChildren();
    if (error?.status === 404) byId('dashboard', HTMLElement).hidden = true;
  }

  private detail(detail: FederationDetail): void {
    const { summary, current } = detail;
    document.title = `${summary.name} – Fed-BBPT`;
    setText(byId('name', HTMLElement), summary.name);
    setText(byId('description', HTMLElement), summary.description);
    const status = byId('status', HTMLElement);
    setText(status, STATUS[summary.status]);
    status.dataset['status'] = summary.status;
    put('live', count(summary.live), summary.live);
    put('participants', `${plural(summary.participants, 'participant')} so far`, summary.participants);
    put('round-step', `${count(summary.step)} of ${count(summary.steps)}`, summary.step);
    byId('rounds-bar', HTMLProgressElement).value = summary.steps > 0 ? Math.min(1, summary.step / summary.steps) : 0;
    put('round-phase', summary.status === 'running' ? phase(current, inputsOf(detail.task)) : 'No round is under way');
    byId('phase-bar', HTMLProgressElement).value = summary.status === 'running' ? phaseShare(current) : 1;
    byId('kept', HTMLElement).hidden = detail.choice === null;
    if (detail.choice !== null) put('kept', kept(detail.choice, inputsOf(detail.task)));
    this.trust(detail);
    this.curves(detail);
    this.rounds.set(detail.rounds);
    this.task(detail);
    // Below everything that people come for, so its script can wait. Where that cannot be fetched, the next news tries again.
    this.server ??= import('./server').then(({ ServerView }) => new ServerView(byId('server-view', HTMLElement), this.id));
    this.server.then((view) => view.detail(detail)).catch(() => (this.server = null));
  }

  private trust({ summary: { secure, privacy }, current }: FederationDetail): void {
    put('secure', secure ? 'Changes are hidden under random masks that cancel out in the sum, so the organiser sees only sums.' : 'The organiser adds up everyone’s changes and could look at each of them.', Number(secure));
    byId('plain', HTMLElement).hidden = secure;
    byId('ledger', HTMLElement).hidden = privacy === null;
    if (privacy !== null) {
      const meter = byId('ledger-meter', HTMLMeterElement);
      meter.max = privacy.limit;
      meter.high = 0.8 * privacy.limit;
      meter.value = privacy.epsilon;
      put('privacy', spent(privacy), privacy.epsilon);
    }
    put('record-lines', plural(current.lines, 'line'), current.lines);
    put('record-fingerprint', fingerprint(current.record));
    find(document, '#dashboard [data-testid="record-fingerprint"]', HTMLElement).dataset['value'] = current.record;
  }

  private curves(detail: FederationDetail): void {
    const curve = federationCurve(detail.rounds);
    const [first, last] = [curve[0], curve.at(-1)];
    put('federation-before', percent(first?.accuracy), first?.accuracy ?? null);
    put('federation-accuracy', percent(last?.accuracy), last?.accuracy ?? null);
    const basis = detail.rounds.findLast((round) => round.metrics.total > 0)?.metrics.total;
    if (basis !== undefined) setText(byId('basis', HTMLElement), `on ${plural(basis, fill('held-out {item}', inputsOf(detail.task)))}`);
    const key = JSON.stringify(curve);
    if (key === this.drawn) return;
    this.drawn = key;
    for (const [chart, value] of [[this.accuracy, 'accuracy'], [this.loss, 'loss']] as const) {
      const { steps, values } = align([curve], value);
      chart.set(steps, values);
    }
    if (last !== undefined && Date.now() - this.announced > ANNOUNCE_MS) {
      this.announced = Date.now();
      setText(byId('announce', HTMLElement), `${plural(detail.summary.step, 'round')} done, ${percent(last.accuracy)} right.`);
    }
  }

  private task({ summary, task }: FederationDetail): void {
    if (summary.task_hash === this.taskHash) return;
    this.taskHash = summary.task_hash;
    showInputs(document, inputsOf(task));
    const rows: [string, string | Node][] = [
      ...taskInWords(task, summary.dim),
      ['Model’s address', h('span', { class: 'host' }, summary.model_origin)],
      ['Begun', moment(summary.created_at)],
      ['Identified by', h('code', {}, summary.task_hash)],
    ];
    byId('task', HTMLDListElement).replaceChildren(...rows.flatMap(([term, description]) => [h('dt', {}, term), h('dd', {}, description)]));
    const link = byId('download-task', HTMLAnchorElement);
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([JSON.stringify(task, null, 2)], { type: 'application/json' }));
    link.download = `${this.id}-task.json`;
  }
}
