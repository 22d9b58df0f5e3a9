import { describe, expect, it } from 'vitest';
import type { Trouble } from '../worker/protocol';
import { ModelFiles, type Browser } from './files';
import { DevicePool, type DeviceWorker } from './pool';
import type { FromDevice, ToDevice } from './protocol';

// What a Worker has.
Object.assign(globalThis, { self: { location: new URL('https://fed.example/f/x/') } });

const MODEL = { url: 'https://fed.example/models', model: { name: 'm.onnx', files: [{ path: 'm.onnx', address: 'm.onnx', sha256: 'good' }] } };
const nothing = (): void => undefined;
const go = new AbortController().signal;
const ask = (pool: DevicePool, what: string, signal = go) => pool.ask(`${MODEL.url}/v2/${what}`, undefined, new Uint8Array(1), signal);

/** A browser in memory, whose server has `content`. */
class Memory implements Browser {
  readonly kept = new Map<string, Response>();
  fetched = 0;
  full = false;
  constructor(public content: () => Response) {}

  readonly fetch = async (): Promise<Response> => {
    this.fetched += 1;
    return this.content();
  };

  readonly open = async (): Promise<Cache> =>
    ({
      match: async (key: string) => this.kept.get(key)?.clone(),
      put: async (key: string, response: Response) => {
        if (this.full) throw new DOMException('no room', 'QuotaExceededError');
        this.kept.set(key, response);
      },
      delete: async (key: string) => this.kept.delete(key),
    }) as unknown as Cache;
}

/** A Worker that loads what holds "model" and answers when it is told to. */
class Fake implements DeviceWorker {
  onmessage: ((event: MessageEvent<FromDevice>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  ended = false;
  readonly asked: string[] = [];
  constructor(readonly on: (worker: Fake, message: ToDevice) => void) {}

  postMessage(message: ToDevice): void {
    if (message.type === 'ask') this.asked.push(message.request.path);
    this.on(this, message);
  }

  terminate(): void {
    this.ended = true;
  }

  say(data: FromDevice): void {
    this.onmessage?.({ data } as MessageEvent<FromDevice>);
  }

  answer(status = 200): void {
    this.say({ type: 'answer', answer: { status, headers: [], body: new Uint8Array() } });
  }
}

const loads = (worker: Fake, message: ToDevice): void => {
  if (message.type !== 'load') return;
  void message.files[0]?.text().then((text) => worker.say(text === 'model' ? { type: 'loaded', milliseconds: 1 } : { type: 'failed', code: 'model_hash', message: 'm.onnx is another file' }));
};

function pool(browser: Memory, cores = 1, on = loads): { pool: DevicePool; workers: Fake[] } {
  const workers: Fake[] = [];
  const create = (): Fake => {
    const worker = new Fake(on);
    workers.push(worker);
    return worker;
  };
  return { pool: new DevicePool(MODEL, cores, create, new ModelFiles(MODEL.url, MODEL.model.files, browser)), workers };
}

const trouble = async (promise: Promise<void>): Promise<Trouble> => promise.then(() => expect.unreachable(), (error: unknown) => error as Trouble);

describe('a model on this device', () => {
  it('is fetched once, with progress, and kept under its hash', async () => {
    const browser = new Memory(() => new Response('model', { headers: { 'content-length': '5' } }));
    const seen: [number, number][] = [];
    await pool(browser).pool.ready((done, total) => seen.push([done, total]), nothing);
    expect(seen.at(-1)).toEqual([5, 5]);
    expect([...browser.kept.keys()]).toEqual(['https://fed.example/fed-bbpt-models/good']);
    const again = pool(browser);
    await again.pool.ready(nothing, nothing);
    expect(browser.fetched).toBe(1);
    await again.pool.forget();
    expect(browser.kept.size).toBe(0);
    expect(again.workers.every(({ ended }) => ended)).toBe(true);
  });

  it('is fetched anew where what was kept is broken, and refused where what comes is another file', async () => {
    const browser = new Memory(() => new Response('model'));
    browser.kept.set('https://fed.example/fed-bbpt-models/good', new Response('broken'));
    await pool(browser).pool.ready(nothing, nothing);
    expect(browser.fetched).toBe(1);
    browser.content = () => new Response('other');
    browser.kept.clear();
    const other = pool(browser);
    expect(await trouble(other.pool.ready(nothing, nothing))).toMatchObject({ code: 'model_hash', where: 'model' });
    expect(browser.kept.size).toBe(0);
    // The next try is one.
    browser.content = () => new Response('model');
    await other.pool.ready(nothing, nothing);
  });

  it('goes on where nothing can be kept, and says so', async () => {
    const browser = new Memory(() => new Response('model'));
    browser.full = true;
    const pities: string[] = [];
    await pool(browser).pool.ready(nothing, ({ code }) => pities.push(code));
    expect(pities).toEqual(['model_not_kept']);
  });

  it('is not kept where its owner left meanwhile', async () => {
    let arrive = nothing;
    const browser = new Memory(() => new Response('model'));
    const slow = browser.fetch;
    const waiting = new Promise<void>((resolve) => (arrive = resolve));
    const { pool: device, workers } = pool(Object.assign(browser, { fetch: async () => waiting.then(slow) }));
    const ready = device.ready(nothing, nothing).catch(nothing);
    await device.forget();
    arrive();
    await ready;
    expect(browser.kept.size).toBe(0);
    expect(workers.every(({ ended }) => ended)).toBe(true);
  });

  it('that cannot be fetched is told apart', async () => {
    const refused = new Memory(() => {
      throw new TypeError('Failed to fetch');
    });
    expect(await trouble(pool(refused).pool.ready(nothing, nothing))).toMatchObject({ code: 'model_fetch', detail: expect.stringContaining('Access-Control-Allow-Origin: https://fed.example') as string });
    const missing = new Memory(() => new Response('', { status: 404 }));
    expect(await trouble(pool(missing).pool.ready(nothing, nothing))).toMatchObject({ code: 'model_status', detail: expect.stringContaining('answers 404') as string });
  });

  it('that is too large says what to do', async () => {
    const full = pool(new Memory(() => new Response('model')), 1, (worker) => worker.say({ type: 'failed', code: 'model_memory', message: 'unreachable' }));
    expect((await trouble(full.pool.ready(nothing, nothing))).title).toBe('The model is too large for this browser');
  });

  it('answers in several Workers at once, each what it was asked', async () => {
    const { pool: device, workers } = pool(new Memory(() => new Response('model')), 3);
    await device.ready(nothing, nothing);
    await expect.poll(() => workers.length).toBe(2);
    const answers = ['a', 'b', 'c'].map(async (what) => ask(device, what));
    await expect.poll(() => workers.map(({ asked }) => asked)).toEqual([['/v2/a'], ['/v2/b']]);
    workers[1]?.answer(201);
    expect((await answers[1])?.status).toBe(201);
    expect(workers[1]?.asked).toEqual(['/v2/b', '/v2/c']);
    workers[0]?.answer(200);
    workers[1]?.answer(202);
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 201, 202]);
  });

  it('does not compute what was taken back, and a Worker that dies takes one question with it', async () => {
    const { pool: device, workers } = pool(new Memory(() => new Response('model')));
    await device.ready(nothing, nothing);
    const first = ask(device, 'a');
    const cancelled = new AbortController();
    void ask(device, 'b', cancelled.signal);
    const third = ask(device, 'c');
    cancelled.abort();
    workers[0]?.answer();
    await first;
    expect(workers[0]?.asked).toEqual(['/v2/a', '/v2/c']);
    workers[0]?.say({ type: 'failed', code: 'model_failed', message: 'it panicked' });
    const { status, body } = await third;
    expect([status, new TextDecoder().decode(body)]).toEqual([500, '{"error":"it panicked"}']);
    // Loaded anew from what is kept.
    await device.ready(nothing, nothing);
    expect(workers).toHaveLength(2);
  });
});
