/** The data owner's page: opens the federation in a Worker, lets the person choose and agree, then shows progress. */
import type { Agreement } from '../generated/Agreement';
import type { FederationDetail } from '../generated/FederationDetail';
import { generatorPath, recordPath } from '../lib/api';
import { byId, confirmWith, find, h, setText, show, wireDialog } from '../lib/dom';
import { bytes, percent, plural } from '../lib/format';
import { fill, inputsOf, runsHere, showInputs, type Inputs } from '../lib/inputs';
import { dashboardPath, parseInvite, parseJoinAddress } from '../lib/links';
import { FederationFeed } from '../lib/sse';
import type { Remedy } from '../lib/trouble';
import { ended } from '../lib/words';
import type { DataSource, FromWorker, TrainingProgress, Trouble } from '../worker/protocol';
import { agreementOf, changes, type Change } from './agreed';
import { apiKey, backendOf, preparesOf, showHosts, showModelAmount, wireSettings } from './agree';
import { Chooser } from './choose';
import { PictureClock, SHOWN } from './clock';
import type { ConnectDialog } from './connect';
import { labelNames } from './labels';
import type { MaskedView } from './masked';
import { RunningView } from './running';
import { Session, type WorkerLike } from './session';
import { afterOpened, viewOf, type View, type Wish } from './state';
import { Troubles } from './trouble';

type Opened = Extract<FromWorker, { type: 'opened' }>;

/** Errors of the model or the training disappear once queries go on, but stay at least this long. */
const READABLE_MS = 4000;
/** Milliseconds after which a Worker that has not confirmed leaving is ended. */
const LEAVE_MS = 5000;

const federationOf = parseJoinAddress(location.pathname, location.hash);

class JoinPage {
  private readonly address = federationOf ?? { federation: '', modelUrl: null };
  private readonly invite = parseInvite(location.hash);
  private readonly troubles = new Troubles();
  private readonly running = new RunningView();
  private readonly pictures = new PictureClock();
  private readonly chooser = new Chooser((source, words) => this.load(source, words));
  /** Loaded when the person tries the model, or asks how to fix it. */
  private connect: ConnectDialog | null = null;
  private readonly session: Session;
  private readonly feed: FederationFeed;

  /** Loaded when the training begins. */
  private seen: Promise<MaskedView> | null = null;
  private view: View = 'loading';
  private opened: Opened | null = null;
  private inputs: Inputs = 'images';
  /** A label as people read it, with its word. */
  private nameOf = (label: string): string => label;
  private detail: FederationDetail | null = null;
  private source: DataSource | null = null;
  /** What was agreed to, where this browser keeps something of the federation. */
  private stored: { agreement: Agreement | null } | null = null;
  /** What has changed since; until the person agrees to it, nothing goes to the model, and no key. */
  private changed: Change[] = [];
  private wish: Wish = { agreed: false, paused: false };
  /** True while the model is asked for a first answer, before training begins. */
  private checking = false;
  private last: TrainingProgress | null = null;
  private trouble = { at: 0, queries: 0 };
  /** Updates delivered when this Worker first reported; null until then. */
  private deliveredBefore: number | null = null;

  constructor() {
    this.session = new Session(
      () => new Worker(new URL('../worker/main.ts', import.meta.url), { type: 'module', name: 'fed-bbpt' }) as unknown as WorkerLike,
      () => ({
        type: 'open',
        federation: this.address.federation,
        invite: this.invite,
        aggregator: location.origin,
        modelUrl: this.address.modelUrl,
        backend: backendOf(location.search),
        prepare: preparesOf(location.search),
      }),
      {
        message: (message) => this.receive(message),
        restarting: () => {
          this.pictures.reset();
          this.deliveredBefore = null;
        },
        gaveUp: (reason) => this.gaveUp(reason),
      },
    );
    this.feed = new FederationFeed(
      this.address.federation,
      (detail) => {
        this.detail = detail;
        this.running.detail(detail);
        if (this.view === 'done') this.finish();
      },
      () => undefined,
    );
    this.wire();
    this.show('loading');
    this.session.start();
  }

  private wire(): void {
    const { federation } = this.address;
    for (const id of ['dashboard-link', 'finish-dashboard']) byId(id, HTMLAnchorElement).href = dashboardPath(federation);
    byId('finish-download', HTMLAnchorElement).href = generatorPath(federation);
    for (const id of ['finish-record', 'record-download']) byId(id, HTMLAnchorElement).href = recordPath(federation);
    wireSettings(this.address, this.invite);
    const click = (id: string, run: () => void): void => byId(id, HTMLButtonElement).addEventListener('click', run);
    click('try-model', () => void this.connecting().then((dialog) => dialog.start()));
    click('start', () => this.start());
    click('resume-session', () => this.goOn());
    click('agree-changes', () => this.agreeAgain());
    click('pause', () => this.pause(true));
    click('resume', () => this.pause(false));
    click('elsewhere-retry', () => this.reopen());
    click('rejoin', () => location.reload());
    const dialog = byId('leave-dialog', HTMLDialogElement);
    wireDialog(dialog);
    for (const id of ['leave', 'forget-session', 'forget-changed']) click(id, () => void confirmWith(dialog).then((yes) => yes && this.leave()));
    // A whole link pasted over one without its invite changes the fragment only, as does another path at the same model
    // API (a relay's new token); the browser stays on the page.
    window.addEventListener('hashchange', () => {
      const invite = parseInvite(location.hash);
      const moved = parseJoinAddress(location.pathname, location.hash)?.modelUrl !== this.address.modelUrl;
      if (moved || (invite !== null && invite !== this.invite)) location.reload();
    });
    // Followed as a link, it would replace the invite in the address, and a reload would find none.
    find(document, '.skip', HTMLAnchorElement).addEventListener('click', (event) => {
      event.preventDefault();
      byId('main', HTMLElement).focus();
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && this.wish.agreed) this.session.send({ type: 'visible' });
    });
  }

  private show(view: View): void {
    const before = this.view;
    this.view = view;
    document.body.dataset['view'] = view;
    const shown: Record<string, boolean> = {
      loading: view === 'loading',
      elsewhere: view === 'elsewhere',
      setup: view === 'setup',
      running: view === 'running' || view === 'done',
      gone: view === 'gone',
      finish: view === 'done',
    };
    for (const [id, visible] of Object.entries(shown)) byId(id, HTMLElement).hidden = !visible;
    if (view !== 'setup') for (const id of ['resume-card', 'changed']) byId(id, HTMLElement).hidden = true;
    // The Worker has asked for the federation before; to follow it takes one of the server's streams.
    if (view === 'running' || view === 'done') this.feed.start();
    if (before !== view && (view === 'running' || view === 'done' || view === 'gone')) {
      window.scrollTo({ top: 0 });
      byId(view === 'done' ? 'finish' : view === 'gone' ? 'gone' : 'main', HTMLElement).focus({ preventScroll: true });
    }
  }

  private receive(message: FromWorker): void {
    switch (message.type) {
      case 'stored':
        this.stored = { agreement: message.agreement };
        break;
      case 'opened':
        this.onOpened(message);
        break;
      case 'model-progress':
        this.modelProgress(message.done, message.total);
        break;
      case 'model-checked':
        this.modelProgress(0, -1);
        if (this.checking) this.begin();
        else if (this.connect?.open === true) this.connect.checked(message);
        break;
      case 'data-progress':
        this.dataProgress(message.done, message.total);
        break;
      case 'data-loaded':
        this.dataLoaded(message.report);
        break;
      case 'backend':
        this.running.backend(message.backend);
        break;
      case 'progress':
        this.progress(message.progress);
        break;
      case 'masked':
        this.withSeen((view) => view.masked(message));
        break;
      case 'pictures':
        void import('./pictures').then(({ showPictures }) => showPictures(message.pictures, runsHere(this.opened?.task) ? 'Asked' : 'Sent'));
        break;
      case 'texts':
        void import('./pictures').then(({ showTexts }) => showTexts(message.texts, this.nameOf));
        break;
      case 'trouble':
        this.onTrouble(message.trouble);
        break;
      case 'elsewhere':
        this.show('elsewhere');
        break;
      case 'fatal':
        // The session's; it never arrives here.
        break;
    }
  }

  private onOpened(opened: Opened): void {
    this.opened = opened;
    this.troubles.clear('open', 'storage');
    show(document, 'name', opened.summary.name);
    if (opened.summary.description !== '') show(document, 'description', opened.summary.description);
    this.changed = this.stored === null ? [] : changes(this.stored.agreement, agreementOf(opened, location.origin));
    // Even if the person agreed on this page: a new Worker may have found another task.
    if (this.changed.length > 0) this.wish = { agreed: false, paused: false };
    if (!this.wish.agreed) document.title = `${opened.summary.name} – Fed-BBPT`;
    this.inputs = inputsOf(opened.task);
    this.nameOf = labelNames(opened.labels, opened.text?.words ?? []);
    showInputs(document, this.inputs);
    showHosts(opened, this.inputs, this.address.modelUrl !== null);
    this.running.about(this.inputs);
    this.running.backend(opened.backend);
    if (this.source === null) this.chooser.offer(this.inputs, opened.labels, opened.text?.words ?? []);
    if (!opened.resumable && !this.wish.agreed && this.closedDoor(opened)) return;
    switch (afterOpened(opened.resumable, this.wish, this.source !== null)) {
      case 'go-on':
        this.check();
        break;
      case 'load-data-again':
        if (!this.wish.agreed) this.show('setup');
        if (this.source !== null) this.session.send({ type: 'load-data', source: this.source });
        break;
      case 'offer-resume':
        this.show('setup');
        byId('setup', HTMLElement).hidden = true;
        byId('resume-card', HTMLElement).hidden = this.changed.length > 0;
        break;
      case 'setup':
        this.show('setup');
        break;
    }
    this.showChanges(opened.resumable);
  }

  /** Shows what has changed since the person agreed. `resumable`: it needs an answer of its own; in the setup "Agree and start" is the answer. */
  private showChanges(resumable: boolean): void {
    const rows = this.changed.map(({ what, before, now }) => [h('dt', {}, what), h('dd', {}, h('s', {}, before), ' → ', h('strong', {}, now))]);
    byId('changed-terms', HTMLElement).replaceChildren(...rows.flat());
    byId('changed-actions', HTMLElement).hidden = !resumable;
    byId('changed', HTMLElement).hidden = this.changed.length === 0 || this.view !== 'setup';
  }

  /** The person agrees to what has changed; going on is another step, with the key's field. */
  private agreeAgain(): void {
    this.agree();
    byId('changed', HTMLElement).hidden = true;
    byId('resume-card', HTMLElement).hidden = false;
    byId('resume-session', HTMLButtonElement).focus();
  }

  /** Notes the terms that are shown as agreed to. */
  private agree(): void {
    if (this.opened === null) return;
    const agreement = agreementOf(this.opened, location.origin);
    this.stored = { agreement };
    this.changed = [];
    this.session.send({ type: 'agree', agreement });
  }

  /** Shows at once that nobody can join, because the federation has ended or the link has no invite. */
  private closedDoor(opened: Opened): boolean {
    const { status, id } = opened.summary;
    if (status === 'running' && this.invite !== null) return false;
    const trouble =
      status === 'running'
        ? { code: 'no_invite', title: 'This link has no invite in it', detail: 'It should end in #invite=… Open the whole link that you were sent, or ask the organiser for a new one.' }
        : { code: `federation_${status}`, title: 'This federation has ended', detail: 'Nobody can join any more, but anyone can see its results.' };
    this.show('setup');
    byId('setup', HTMLElement).hidden = true;
    this.troubles.show({ ...trouble, where: 'open' }, false, { label: 'See the results', run: () => location.assign(dashboardPath(id)) });
    return true;
  }

  private load(source: DataSource, words: string): void {
    this.source = source;
    this.troubles.clear('data');
    byId('data-report', HTMLElement).hidden = true;
    this.ready(false, this.said('Reading your {items}…'));
    setText(byId('data-progress-text', HTMLElement), words);
    byId('data-progress-bar', HTMLProgressElement).removeAttribute('value');
    byId('data-progress', HTMLElement).hidden = false;
    this.session.send({ type: 'load-data', source });
  }

  private dataProgress(done: number, total: number): void {
    const bar = byId('data-progress-bar', HTMLProgressElement);
    if (total > 0) bar.value = Math.min(1, done / total);
  }

  /** Shows how much of a model for this device has been fetched; a total below 0 hides it. */
  private modelProgress(done: number, total: number): void {
    for (const place of document.querySelectorAll<HTMLElement>('.model-progress')) {
      place.hidden = total < 0;
      setText(find(place, '.model-progress-text', HTMLElement), total > 0 ? `${bytes(done)} of ${bytes(total)}` : bytes(done));
      const bar = find(place, 'progress', HTMLProgressElement);
      if (total > 0) bar.value = Math.min(1, done / total);
      else bar.removeAttribute('value');
    }
  }

  private dataLoaded(report: Extract<FromWorker, { type: 'data-loaded' }>['report']): void {
    byId('data-progress', HTMLElement).hidden = true;
    this.troubles.clear('data');
    const place = byId('data-report', HTMLElement);
    void import('./report').then(({ showReport }) => showReport(place, report, this.inputs, this.nameOf));
    if (this.opened !== null && report.bytesPerQuery !== undefined) showModelAmount(this.opened, this.inputs, report.bytesPerQuery);
    const whereTo = runsHere(this.opened?.task)
      ? 'They stay on this device, and so does the model.'
      : `This sends ${this.inputs === 'texts' ? 'them' : 'copies of them'} to ${this.opened?.modelOrigin ?? 'the model'}.`;
    this.ready(true, `${plural(report.total, this.said('{item}'))} ready. ${whereTo}`);
    // After a crash before anything was stored: the person had already agreed.
    if (this.wish.agreed) this.check();
    else place.focus({ preventScroll: true });
  }

  /** Fills in the nouns for this federation's inputs. */
  private said(words: string): string {
    return fill(words, this.inputs);
  }

  private ready(ready: boolean, hint: string): void {
    byId('start', HTMLButtonElement).disabled = !ready;
    setText(byId('start-hint', HTMLElement), hint);
  }

  /** After the person has agreed: asks the model a first harmless question, so that problems show before the work begins. */
  private start(): void {
    this.agree();
    this.wish = { agreed: true, paused: false };
    this.ready(false, 'Asking the model for a first answer…');
    this.check();
  }

  private goOn(): void {
    if (this.changed.length > 0) return;
    this.wish = { agreed: true, paused: false };
    this.check();
    byId('resume-session', HTMLButtonElement).disabled = true;
  }

  private check(): void {
    this.checking = true;
    this.troubles.clear('open', 'model', 'training');
    this.session.send({ type: 'check-model', apiKey: apiKey() });
  }

  private begin(): void {
    this.checking = false;
    this.show('running');
    this.session.send({ type: 'start' });
    if (this.wish.paused) this.session.send({ type: 'pause' });
  }

  private pause(paused: boolean): void {
    this.wish = { ...this.wish, paused };
    this.session.send({ type: paused ? 'pause' : 'resume' });
    this.buttons(paused);
  }

  private buttons(paused: boolean): void {
    const [pause, resume] = [byId('pause', HTMLButtonElement), byId('resume', HTMLButtonElement)];
    const focused = document.activeElement === pause || document.activeElement === resume;
    pause.hidden = paused;
    resume.hidden = !paused;
    if (focused) (paused ? resume : pause).focus();
  }

  private progress(progress: TrainingProgress): void {
    this.last = progress;
    // Stored state may report itself before the person has agreed to go on.
    if (!this.wish.agreed && progress.stopped === null) return;
    this.deliveredBefore ??= progress.delivered;
    if (progress.delivered > this.deliveredBefore) this.session.thrives();
    if (progress.queries > this.trouble.queries && Date.now() - this.trouble.at > READABLE_MS) this.troubles.clear('model', 'training');
    const view = viewOf(progress);
    if (this.checking && view === 'running') return;
    this.running.progress(progress, this.opened?.summary.steps ?? 0);
    this.withSeen((view) => view.progress(progress));
    if (this.view !== view) this.show(view);
    if (view === 'running') this.buttons(progress.activity === 'paused');
    if (view === 'done') this.finish();
    if (view === 'gone') this.gone();
    const measured = progress.curve.at(-1)?.step ?? -1;
    // Pictures are asked about, and so go to the model.
    if (view !== 'gone' && this.changed.length === 0 && this.pictures.due(measured, Date.now(), document.visibilityState === 'visible', view === 'done')) {
      this.session.send({ type: 'pictures', count: SHOWN });
    }
  }

  /** Shows what the server saw of this participant. Where its script cannot be fetched, the next news tries again. */
  private withSeen(run: (view: MaskedView) => void): void {
    const { opened, inputs } = this;
    if (opened === null) return;
    this.seen ??= import('./masked').then(({ MaskedView }) => new MaskedView(byId('seen', HTMLElement), this.address.federation, inputs, opened.sum !== null));
    this.seen.then(run).catch(() => (this.seen = null));
  }

  private finish(): void {
    const stopped = this.last?.stopped ?? 'finished';
    const words = ended(stopped, this.inputs);
    this.alarm(stopped === 'inconsistent');
    setText(byId('finish-title', HTMLElement), words.title);
    setText(byId('finish-detail', HTMLElement), words.detail);
    const own = this.running.ownNow;
    const delivered = this.last?.delivered ?? 0;
    const others = (this.detail?.summary.participants ?? 1) - 1;
    const parts = [
      own === null ? '' : `On your ${this.said('{items}')} the model’s right answers went from ${percent(own.before)} to ${percent(own.now)}.`,
      delivered === 0 ? '' : `You contributed ${plural(delivered, 'change')}${others > 0 ? `, together with ${plural(others, 'other participant')}` : ''}.`,
    ];
    setText(byId('finish-numbers', HTMLElement), parts.filter((part) => part !== '').join(' '));
    setText(byId('status-title', HTMLElement), stopped === 'inconsistent' ? 'Before it stopped' : 'The result');
    for (const id of ['pause', 'resume']) byId(id, HTMLButtonElement).hidden = true;
    this.troubles.clear('model', 'training');
  }

  /** Announces a contradiction at once, without offering the prompt or thanking. */
  private alarm(loud: boolean): void {
    const finish = byId('finish', HTMLElement);
    finish.classList.toggle('alarm', loud);
    if (loud) finish.setAttribute('role', 'alert');
    else finish.removeAttribute('role');
    const suspicion = byId('finish-suspicion', HTMLElement);
    const found = this.last?.suspicion ?? null;
    setText(suspicion, found === null ? '' : `What this browser found: ${found}.`);
    suspicion.hidden = !loud || found === null;
    byId('finish-numbers', HTMLElement).hidden = loud;
    byId('finish-download', HTMLElement).hidden = loud;
    byId('finish-record', HTMLElement).hidden = !loud;
  }

  private leave(): void {
    this.session.send({ type: 'leave' });
    setTimeout(() => this.gone(), LEAVE_MS);
  }

  private gone(): void {
    this.wish = { agreed: false, paused: false };
    this.feed.stop();
    this.session.end();
    this.show('gone');
  }

  private reopen(): void {
    this.troubles.clear('open', 'storage');
    this.show('loading');
    this.session.startOver();
  }

  private onTrouble(trouble: Trouble): void {
    if (this.connect?.open === true && trouble.where === 'model') {
      void this.connect.failed(trouble);
      return;
    }
    this.trouble = { at: Date.now(), queries: this.last?.queries ?? 0 };
    if (trouble.where === 'model') this.modelProgress(0, -1);
    if (trouble.where === 'data') {
      byId('data-progress', HTMLElement).hidden = true;
      // Data that could not be read must not be loaded again.
      this.source = null;
      this.ready(false, this.said('First choose your {items} above.'));
    }
    const unchecked = this.checking && (trouble.where === 'model' || trouble.where === 'training');
    if (unchecked) {
      this.checking = false;
      if (this.view !== 'running') {
        this.wish = { ...this.wish, agreed: false };
        this.ready(this.source !== null, 'Fix the problem shown above, then try again.');
      }
      byId('resume-session', HTMLButtonElement).disabled = false;
    }
    if (trouble.where === 'open') byId('loading', HTMLElement).hidden = true;
    // Joining failed: nothing runs yet, so the person is back where they agreed.
    if (trouble.where === 'open' && this.view === 'running' && (this.last?.view ?? null) === null) {
      this.wish = { agreed: false, paused: false };
      this.show('setup');
      this.ready(this.source !== null, 'See the message at the top of the page.');
    }
    // If the setup is hidden, its slots are hidden too.
    const inSetup = this.view === 'setup' && !byId('setup', HTMLElement).hidden;
    const place: Trouble = inSetup || this.view === 'running' || this.view === 'done' ? trouble : { ...trouble, where: 'open' };
    this.troubles.show(place, this.view === 'running' || this.view === 'done', this.remedy(trouble, unchecked));
  }

  private remedy(trouble: Trouble, unchecked: boolean): Remedy | null {
    if (trouble.where === 'open') return { label: 'Try again', run: () => this.reopen() };
    if (unchecked && this.view === 'running') return { label: 'Try again', run: () => this.check() };
    // Fixes for a model API do not apply to a model on this device, whose errors already say what to do.
    if (trouble.where === 'model' && trouble.code !== 'model_budget' && !runsHere(this.opened?.task)) return { label: 'How to fix it', run: () => void this.connecting().then((dialog) => dialog.explain(trouble)) };
    return null;
  }

  private async connecting(): Promise<ConnectDialog> {
    const { ConnectDialog } = await import('./connect');
    return (this.connect ??= new ConnectDialog(
      (key) => this.session.send({ type: 'check-model', apiKey: key }),
      () => this.opened,
      () => this.inputs,
    ));
  }

  private gaveUp(reason: string): void {
    this.checking = false;
    this.troubles.show(
      {
        code: 'worker_failed',
        title: 'The computation stopped unexpectedly',
        detail: `${reason}\nNothing is lost: what this browser stored is still there. Try again; if it fails again, try another browser.`,
        where: 'open',
      },
      this.view === 'running',
      { label: 'Try again', run: () => this.reopen() },
    );
    byId('loading', HTMLElement).hidden = true;
  }
}

if (federationOf === null) {
  byId('loading', HTMLElement).hidden = true;
  new Troubles().show(
    { code: 'bad_address', title: 'This address does not lead to a federation', detail: 'Open the invite link again, or ask the organiser for a new one. It looks like /f/name/#invite=…', where: 'open' },
    false,
    null,
  );
} else {
  new JoinPage();
}
