/** The model on this device: fetches it, runs it in Workers of its own, and hands them what the client asks. */
import type { Trouble } from '../worker/protocol';
import { ModelFiles, type Fetched } from './files';
import type { Answer, DeviceModel, FromDevice, Request, ToDevice } from './protocol';
import { troubleOf, Unusable } from './trouble';

/** The parts of a `Worker` that are used. */
export interface DeviceWorker {
  postMessage(message: ToDevice, transfer: Transferable[]): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<FromDevice>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

/** A Worker of the browser. */
export function startWorker(): DeviceWorker {
  return new Worker(new URL('./main.ts', import.meta.url), { type: 'module', name: 'fed-bbpt model' }) as unknown as DeviceWorker;
}

/** Most instances: more gain little, and each holds the model in memory. */
const MOST_WORKERS = 4;
/** Memory of a loaded model as a multiple of its file (the file, the weights, and the weights in the order of the arithmetic). */
const MOST_BYTES = 256 << 20;

interface Job {
  request: Request;
  resolve: (answer: Answer) => void;
}

interface Slot {
  worker: DeviceWorker;
  job: Job | null;
}

export class DevicePool {
  private readonly files: ModelFiles;
  private readonly slots: Slot[] = [];
  /** Workers that do not have the model yet. */
  private readonly starting = new Set<DeviceWorker>();
  private readonly waiting: Job[] = [];
  private loading: Promise<void> | null = null;
  /** The person left: nothing is fetched or kept any more. */
  private readonly left = new AbortController();

  constructor(
    private readonly model: DeviceModel,
    private readonly cores: number,
    private readonly create: () => DeviceWorker,
    files?: ModelFiles,
  ) {
    this.files = files ?? new ModelFiles(model.url, model.model.files);
  }

  /**
   * Fetches and starts the model unless that was done. Throws a `Trouble` if it fails; lesser problems are only
   * reported.
   */
  async ready(progress: (done: number, total: number) => void, pity: (trouble: Trouble) => void): Promise<void> {
    this.loading ??= this.load(progress, pity).catch((error: unknown) => {
      this.end();
      throw troubleOf(error, { url: this.model.url, name: this.model.model.name, settings: 'model.url and model.name' });
    });
    return this.loading;
  }

  /** Asks the model. Failures are answers too, as from a server. A question that is `cancelled` before its turn is not computed. */
  async ask(path: string, headerLength: string | undefined, body: Uint8Array<ArrayBuffer>, cancelled: AbortSignal): Promise<Answer> {
    // Nothing runs and nothing is being started: waiting would never end. 501 is not asked again.
    if (this.loading === null && this.slots.length === 0) return { ...ended('the model stopped on this device, perhaps for want of memory; reload the page to start it again'), status: 501 };
    return new Promise((resolve) => {
      const job = { request: { path: path.slice(this.model.url.length), headerLength, body }, resolve };
      cancelled.addEventListener('abort', () => {
        const at = this.waiting.indexOf(job);
        if (at >= 0) this.waiting.splice(at, 1);
      });
      this.waiting.push(job);
      this.next();
    });
  }

  /** Ends the Workers and deletes the kept files. */
  async forget(): Promise<void> {
    this.left.abort();
    this.end();
    await this.files.forget();
  }

  private end(): void {
    this.loading = null;
    for (const worker of this.starting) worker.terminate();
    this.starting.clear();
    for (const { worker, job } of this.slots.splice(0)) {
      worker.terminate();
      job?.resolve(ended('the model was stopped'));
    }
    for (const job of this.waiting.splice(0)) job.resolve(ended('the model was stopped'));
  }

  private async load(progress: (done: number, total: number) => void, pity: (trouble: Trouble) => void): Promise<void> {
    const fetched = await this.files.into((files) => this.start(files), progress, pity, this.left.signal);
    if (this.left.signal.aborted) return this.end();
    const bytes = fetched.reduce((sum, { blob }) => sum + blob.size, 0);
    const workers = Math.max(1, Math.min(this.cores - 1, MOST_WORKERS, Math.floor(MOST_BYTES / Math.max(1, 3 * bytes))));
    // One Worker is enough to begin with; without the others it only takes longer.
    for (let more = 1; more < workers; more += 1) this.start(fetched).catch(() => undefined);
  }

  /** One more Worker, once it has the model. */
  private async start(fetched: readonly Fetched[]): Promise<void> {
    const worker = this.create();
    this.starting.add(worker);
    return new Promise((resolve, reject) => {
      const dead = (code: string, message: string): void => {
        worker.terminate();
        this.starting.delete(worker);
        reject(new Unusable(code, message));
        this.lost(worker, message);
      };
      worker.onmessage = ({ data }) => {
        switch (data.type) {
          case 'loaded':
            this.starting.delete(worker);
            this.slots.push({ worker, job: null });
            this.next();
            resolve();
            break;
          case 'failed':
            dead(data.code, data.message);
            break;
          case 'answer':
            this.answered(worker, data.answer);
            break;
        }
      };
      worker.onerror = (event) => {
        event.preventDefault();
        dead('model_failed', event.message || 'its Worker could not be started');
      };
      worker.postMessage({ type: 'load', model: JSON.stringify(this.model.model), files: fetched.map(({ blob }) => blob) }, []);
    });
  }

  private next(): void {
    for (const slot of this.slots) {
      if (slot.job !== null) continue;
      const job = this.waiting.shift();
      if (job === undefined) return;
      slot.job = job;
      slot.worker.postMessage({ type: 'ask', request: job.request }, [job.request.body.buffer]);
    }
  }

  private answered(worker: DeviceWorker, answer: Answer): void {
    const slot = this.slots.find((one) => one.worker === worker);
    const job = slot?.job;
    if (slot !== undefined) slot.job = null;
    job?.resolve(answer);
    this.next();
  }

  /** Removes a Worker that died; its question fails. If it was the last one, the next question loads the model again. */
  private lost(worker: DeviceWorker, message: string): void {
    const at = this.slots.findIndex((one) => one.worker === worker);
    if (at < 0) return;
    const [slot] = this.slots.splice(at, 1);
    slot?.job?.resolve(ended(message));
    if (this.slots.length === 0) this.end();
  }
}

/** The answer of a server that fails for good, so that the question is not asked again. */
function ended(message: string): Answer {
  return { status: 500, headers: ['content-type', 'application/json'], body: new TextEncoder().encode(JSON.stringify({ error: message })) };
}
