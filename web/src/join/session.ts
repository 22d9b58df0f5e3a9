/**
 * Starts, restarts and ends the Worker. The page keeps only what it needs to start another one: after a crash of the wasm,
 * a new Worker opens the same federation and goes on from storage.
 */
import type { FromWorker, ToWorker } from '../worker/protocol';

/** The parts of a `Worker` that are used. */
export interface WorkerLike {
  postMessage(message: ToWorker): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

/** Restarts after failures before the person must decide. */
export const MAX_RESTARTS = 3;

export class Session {
  private worker: WorkerLike | null = null;
  private restarts = 0;

  constructor(
    private readonly create: () => WorkerLike,
    private readonly open: () => Extract<ToWorker, { type: 'open' }>,
    private readonly on: {
      message: (message: FromWorker) => void;
      /** A new Worker takes over; the page brings it to where the old one was. */
      restarting: (attempt: number, reason: string) => void;
      /** The Worker failed too often. */
      gaveUp: (reason: string) => void;
    },
  ) {}

  /** Ends an old Worker and starts a new one, which opens the federation. */
  start(): void {
    this.end();
    const worker = this.create();
    this.worker = worker;
    worker.onmessage = ({ data }) => {
      // Messages of a terminated Worker may still be on their way.
      if (worker !== this.worker) return;
      if (data.type === 'fatal') this.failed(data.message);
      else this.on.message(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.worker) this.failed(event.message || 'the Worker could not be started');
    };
    worker.postMessage(this.open());
  }

  /** A start that the person asked for; restarts are counted from 0 again. */
  startOver(): void {
    this.restarts = 0;
    this.start();
  }

  send(message: ToWorker): void {
    this.worker?.postMessage(message);
  }

  end(): void {
    this.worker?.terminate();
    this.worker = null;
  }

  /** Progress was made, so earlier failures no longer count. */
  thrives(): void {
    this.restarts = 0;
  }

  private failed(reason: string): void {
    this.end();
    if (this.restarts >= MAX_RESTARTS) {
      this.on.gaveUp(reason);
      return;
    }
    this.restarts += 1;
    this.on.restarting(this.restarts, reason);
    this.start();
  }
}
