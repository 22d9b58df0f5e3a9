/**
 * The Worker's life. The page keeps nothing but what it takes to start another one: after a crash of the wasm
 * a new Worker opens the same federation and goes on from storage.
 */
import type { FromWorker, ToWorker } from '../worker/protocol';

/** What is used of a `Worker`. */
export interface WorkerLike {
  postMessage(message: ToWorker): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

/** New Workers after failures until a person must decide. */
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
      /** It failed too often. */
      gaveUp: (reason: string) => void;
    },
  ) {}

  /** A fresh Worker that opens the federation; an old one ends. */
  start(): void {
    this.end();
    const worker = this.create();
    this.worker = worker;
    worker.onmessage = ({ data }) => {
      // A terminated Worker's last words may still be on their way.
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

  /** A start by the person's wish: counts anew. */
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

  /** Progress was made: earlier failures do not count any more. */
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
