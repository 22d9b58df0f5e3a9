/** The view of a running participation: what is being done, how far it is, what it gained and what it cost. */
import type { FederationDetail } from '../generated/FederationDetail';
import { Chart } from '../lib/charts';
import { align, federationCurve, ownCurve, type Point } from '../lib/curves';
import { byId, find, setText } from '../lib/dom';
import { bytes, count, duration, fingerprint, money, percent, plural, span } from '../lib/format';
import { fill, type Inputs } from '../lib/inputs';
import { activity, cohort, kept, phase, phaseShare, spent, waitsFor } from '../lib/words';
import type { Backend, TrainingProgress } from '../worker/protocol';

/** Announcements to screen readers are at least this far apart. */
const ANNOUNCE_MS = 15_000;

/** Writes an element with a test id: text for people, the plain number in `data-value`. */
function put(id: string, text: string, value: number | null = null): void {
  const element = find(document, `#running [data-testid="${id}"]`, HTMLElement);
  setText(element, text);
  if (value !== null) element.dataset['value'] = String(value);
}

export class RunningView {
  private inputs: Inputs = 'images';
  private readonly accuracy = new Chart(byId('chart-accuracy', HTMLElement), {
    title: 'Right answers by round',
    series: [
      { label: 'Yours', colour: '--own' },
      { label: 'Everyone’s', colour: '--federation', dashed: true },
    ],
    format: percent,
    range: [0, 1],
  });
  private readonly loss = new Chart(byId('chart-loss', HTMLElement), {
    title: 'Loss by round',
    series: [
      { label: 'Yours', colour: '--own' },
      { label: 'Everyone’s', colour: '--federation', dashed: true },
    ],
    format: (value) => value.toFixed(value < 10 ? 2 : 0),
    range: null,
  });
  private own: Point[] = [];
  private unprompted: number | null = null;
  private federation: Point[] = [];
  private drawn = '';
  private announced = { at: 0, step: -1 };
  private deadline: number | null = null;
  private totals = '';

  constructor() {
    setInterval(() => this.tick(), 1000);
  }

  /** Sets the federation's kind of inputs; called before anything is shown. */
  about(inputs: Inputs): void {
    this.inputs = inputs;
  }

  /** This owner's accuracy without a prompt and with the newest one. */
  get ownNow(): { before: number; now: number } | null {
    const [first, last] = [this.own[0], this.own.at(-1)];
    return first && last ? { before: this.unprompted ?? first.accuracy, now: last.accuracy } : null;
  }

  progress(p: TrainingProgress, steps: number): void {
    setText(byId('status-title', HTMLElement), activity(p, this.inputs));
    byId('status-title', HTMLElement).dataset['value'] = p.activity;
    this.steps(p);
    if (p.view !== null) this.round(p.view, p.awaited, steps);
    this.own = ownCurve(p.curve);
    this.unprompted = p.before;
    const ends = this.ownNow;
    const before = p.before ?? ends?.before ?? null;
    put('accuracy-before', percent(before), before);
    put('accuracy-now', percent(ends?.now), ends?.now ?? null);
    const measured = p.curve.at(-1)?.total;
    if (measured !== undefined) setText(byId('own-basis', HTMLElement), `on ${plural(measured, fill('{item}', this.inputs))} kept aside to measure with`);
    byId('kept', HTMLElement).hidden = p.choice === null;
    if (p.choice !== null) {
      put('kept', kept(p.choice, this.inputs));
      byId('kept', HTMLElement).dataset['value'] = p.choice.keep;
    }
    if (p.prompt !== undefined) put('prompt', p.prompt);
    this.trust(p);
    this.costs(p);
    this.curves();
    this.announce(p.view?.step ?? 0);
    if (ends !== null) document.title = `${percent(ends.now)} right – Fed-BBPT`;
  }

  detail(detail: FederationDetail): void {
    this.federation = federationCurve(detail.rounds);
    const [first, last] = [this.federation[0], this.federation.at(-1)];
    put('federation-before', percent(first?.accuracy), first?.accuracy ?? null);
    put('federation-accuracy', percent(last?.accuracy), last?.accuracy ?? null);
    setText(byId('federation-basis', HTMLElement), `over all participants; ${plural(detail.summary.live, 'participant')} active now`);
    this.curves();
  }

  backend(backend: Backend): void {
    const adapter = backend.adapter === null ? '' : ` (${backend.adapter})`;
    put('backend', backend.name === 'webgpu' ? `WebGPU${adapter}` : 'Processor');
    find(document, '#running [data-testid="backend"]', HTMLElement).dataset['value'] = backend.name;
    const measured = [backend.cpuMs === null ? '' : `processor ${duration(backend.cpuMs)} a step`, backend.webgpuMs === null ? '' : `WebGPU ${duration(backend.webgpuMs)}`].filter((text) => text !== '');
    setText(byId('backend-reason', HTMLElement), [backend.reason, ...measured].join(' · '));
  }

  private steps(p: TrainingProgress): void {
    const known = p.localSteps > 0;
    byId('step-bar', HTMLProgressElement).value = known ? Math.min(1, p.localStep / p.localSteps) : 0;
    put('local-step', known ? `${p.localStep} of ${p.localSteps} steps` : '–', p.localStep);
  }

  private round(view: NonNullable<TrainingProgress['view']>, awaited: TrainingProgress['awaited'], steps: number): void {
    byId('round-bar', HTMLProgressElement).value = phaseShare(view);
    put('round-phase', phase(view, this.inputs));
    byId('federation-bar', HTMLProgressElement).value = steps > 0 ? Math.min(1, view.step / steps) : 0;
    const at = Math.min(view.step + 1, steps);
    put('round-step', view.status === 'finished' ? `all ${count(steps)} done` : `round ${count(at)} of ${count(steps)}`, view.step);
    this.deadline = view.deadline_ms === null ? null : Date.now() + view.deadline_ms;
    this.totals = awaited !== null && view.phase === 'open' && awaited.here < awaited.needed ? waitsFor(awaited) : cohort(view);
    this.tick();
  }

  private tick(): void {
    const left = this.deadline === null ? 0 : this.deadline - Date.now();
    setText(byId('round-detail', HTMLElement), left > 0 ? `${this.totals}; the round moves on in ${span(left)} at the latest.` : this.totals === '' ? '–' : `${this.totals}.`);
  }

  /** Shows this participant's ledger and how far the record was read. */
  private trust({ privacy, record }: TrainingProgress): void {
    byId('ledger', HTMLElement).hidden = privacy === null;
    if (privacy !== null) {
      const meter = byId('ledger-meter', HTMLMeterElement);
      meter.max = privacy.limit;
      meter.high = 0.8 * privacy.limit;
      meter.value = privacy.epsilon;
      put('privacy', spent(privacy), privacy.epsilon);
    }
    if (record !== null) {
      put('record-lines', plural(record.lines, 'line'), record.lines);
      put('record-fingerprint', fingerprint(record.head));
      find(document, '#running [data-testid="record-fingerprint"]', HTMLElement).dataset['value'] = record.head;
    }
  }

  private costs(p: TrainingProgress): void {
    put('queries', p.queryBudget > 0 ? `${count(p.queries)} of ${count(p.queryBudget)}` : count(p.queries), p.queries);
    const paid = p.spent;
    byId('money', HTMLElement).hidden = paid === undefined;
    if (paid !== undefined) put('money-spent', `${money(paid.amount)} ${paid.currency}${paid.budget > 0 ? ` of ${money(paid.budget)}` : ''}`, paid.amount);
    put('bytes-model', `${bytes(p.bytesToModel)} (${bytes(p.bytesFromModel)} back)`, p.bytesToModel);
    put('bytes-aggregator', `${bytes(p.bytesToAggregator)} (${bytes(p.bytesFromAggregator)} back)`, p.bytesToAggregator);
    put('delivered', count(p.delivered), p.delivered);
    put('prepared', plural(p.prepared, 'picture'), p.prepared);
    const took = [p.renderMs === null ? '' : `${duration(p.renderMs)} to compute`, p.askMs === null ? '' : `${duration(p.askMs)} to ask`].filter((part) => part !== '');
    if (took.length > 0) setText(byId('timing', HTMLElement), took.join(', '));
  }

  private curves(): void {
    const key = JSON.stringify([this.own, this.federation]);
    if (key === this.drawn) return;
    this.drawn = key;
    for (const [chart, value] of [[this.accuracy, 'accuracy'], [this.loss, 'loss']] as const) {
      const { steps, values } = align([this.own, this.federation], value);
      chart.set(steps, values);
    }
  }

  /** Announces new rounds to screen readers, but not every one. */
  private announce(step: number): void {
    const now = Date.now();
    const ends = this.ownNow;
    if (step === this.announced.step || now - this.announced.at < ANNOUNCE_MS || ends === null) return;
    this.announced = { at: now, step };
    setText(byId('announce', HTMLElement), `${plural(step, 'round')} done. ${percent(ends.now)} right on your ${fill('{items}', this.inputs)}, ${percent(ends.before)} before.`);
  }
}
