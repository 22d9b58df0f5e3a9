import { beforeEach, describe, expect, it } from 'vitest';
import type { FromWorker, ToWorker } from '../worker/protocol';
import { MAX_RESTARTS, Session, type WorkerLike } from './session';

class FakeWorker implements WorkerLike {
  onmessage: WorkerLike['onmessage'] = null;
  onerror: WorkerLike['onerror'] = null;
  readonly sent: ToWorker[] = [];
  ended = false;
  postMessage(message: ToWorker): void {
    this.sent.push(message);
  }
  terminate(): void {
    this.ended = true;
  }
  say(data: FromWorker): void {
    this.onmessage?.({ data } as MessageEvent<FromWorker>);
  }
}

const open: ToWorker = { type: 'open', federation: 'x', invite: null, aggregator: 'http://a', modelUrl: null, backend: 'auto', prepare: true };
let workers: FakeWorker[];
let log: string[];
let session: Session;

const last = (): FakeWorker => {
  const worker = workers.at(-1);
  if (worker === undefined) throw new Error('no Worker was made');
  return worker;
};

beforeEach(() => {
  workers = [];
  log = [];
  session = new Session(
    () => {
      const worker = new FakeWorker();
      workers.push(worker);
      return worker;
    },
    () => open,
    { message: (message) => log.push(message.type), restarting: (attempt) => log.push(`restart ${attempt}`), gaveUp: (reason) => log.push(`gave up: ${reason}`) },
  );
  session.start();
});

describe('a Worker’s life', () => {
  it('begins with opening', () => {
    expect(last().sent).toEqual([open]);
  });
  it('a dead wasm is followed by a new Worker that opens the same', () => {
    const first = last();
    first.say({ type: 'fatal', message: 'unreachable' });
    expect(first.ended).toBe(true);
    expect(workers).toHaveLength(2);
    expect(last().sent).toEqual([open]);
    expect(log).toEqual(['restart 1']);
  });
  it('ends after too many failures, with the reason, and begins anew when the person says so', () => {
    for (let i = 0; i <= MAX_RESTARTS; i++) last().say({ type: 'fatal', message: 'out of memory' });
    expect(workers).toHaveLength(MAX_RESTARTS + 1);
    expect(log.at(-1)).toBe('gave up: out of memory');
    expect(workers.every((worker) => worker.ended)).toBe(true);
    session.startOver();
    last().say({ type: 'fatal', message: 'again' });
    expect(log.at(-1)).toBe('restart 1');
  });
  it('failures between which it got on are not added up', () => {
    for (let i = 0; i < 3 * MAX_RESTARTS; i++) {
      last().say({ type: 'fatal', message: 'x' });
      session.thrives();
    }
    expect(log.some((line) => line.startsWith('gave up'))).toBe(false);
  });
  it('a script that does not load counts as a failure', () => {
    last().onerror?.({ message: '', preventDefault: () => undefined } as ErrorEvent);
    expect(log).toEqual(['restart 1']);
  });
  it('an ended Worker’s last words are not heard', () => {
    const first = last();
    session.start();
    first.say({ type: 'elsewhere' });
    first.say({ type: 'fatal', message: 'x' });
    expect(log).toEqual([]);
    last().say({ type: 'elsewhere' });
    expect(log).toEqual(['elsewhere']);
  });
});
