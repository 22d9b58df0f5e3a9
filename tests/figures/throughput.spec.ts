/**
 * How much of a model API's own limit one page makes use of: the page trains on the embedded model, directly and through a
 * proxy that delays every byte, and its queries are counted by the model API. The limit is the most that plain requests with the
 * same bytes get from the same server through the same proxy on the same machine, over several sizes and numbers of connections.
 * The server has half of the cores and its clients the others, as if they were two machines: on the same cores, the more a client
 * asks, the less the server answers. Writes `FIGURE_OUT`.
 *
 * No developer tools are attached while the page is measured: they would see, and copy, every request.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium, expect, test } from '@playwright/test';
import { JoinPage } from '../browser/pages/join.ts';
import { Child } from '../browser/support/child.ts';
import { House } from '../browser/support/house.ts';
import { CHROMIUM, FED_BBPT } from '../browser/support/paths.ts';
import config from '../figures.config.ts';

const QUICK = process.env['FIGURE_QUICK'] !== undefined;
/** Milliseconds that are added to every round trip. */
const DELAYS_MS = [0, 20, 200];
const LIMIT_SECONDS = QUICK ? 1 : 4;
const PAGE_SECONDS = QUICK ? 3 : 20;
/** Seconds until the pace has settled. */
const SETTLE_SECONDS = QUICK ? 2 : 10;
/** Images in a request, and connections: the API's limits decide, not a browser's. */
const SHAPES = [32, 128, 256].flatMap((batch) => [8, 32, 64].map((connections) => ({ batch, connections })));
/**
 * Nothing fills the delay between two steps, because the next step's images follow from this one's answers: the larger a
 * step, the less it matters. So there are two: 1,024 queries (64 images under 16 points), and 131,072 (1,024 under 128).
 */
const STEPS = { small: { 'federation.batch': 64 }, large: { 'federation.batch': 1024, 'optimizer.differences': '"two-sided"', 'optimizer.directions': 64 } };
const TASK = { 'federation.local_steps': 50, 'federation.rounds': 1000, 'federation.open.count_min': 1, 'federation.upload.count_min': 1, 'federation.open.time_min_ms': 0, 'federation.upload.time_min_ms': 0, 'data.holdout': 0.05 };
const BYTES = 3 * 32 * 32;

/** The server's cores and the others', as `taskset` takes them; null if there is only one. */
const CORES = availableParallelism();
const SHARE = CORES < 2 ? null : { server: `0-${(CORES >> 1) - 1}`, others: `${CORES >> 1}-${CORES - 1}` };
/** A program on those cores only. */
const on = (cores: string | undefined, program: string, args: string[]): [string, string[]] => (cores === undefined ? [program, args] : ['taskset', ['-c', cores, program, ...args]]);

/** A proxy that holds every byte back for half of `delay` in each direction; bandwidth is not limited. */
async function delayed(target: URL, delay: number): Promise<{ url: string; close: () => void }> {
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => setTimeout(() => to.writable && to.write(bytes), delay / 2));
    from.on('end', () => setTimeout(() => to.end(), delay / 2));
    from.on('error', () => to.destroy());
    from.on('close', () => sockets.delete(from));
    from.setNoDelay(true);
    sockets.add(from);
  };
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** A request of `batch` noisy images, as the page sends them. */
function body(batch: number): { bytes: Buffer; header: number } {
  const head = JSON.stringify({
    inputs: [{ name: 'image', shape: [batch, 3, 32, 32], datatype: 'UINT8', parameters: { binary_data_size: batch * BYTES } }],
    outputs: [{ name: 'logits', parameters: { binary_data: true } }],
    parameters: { binary_data_output: true },
  });
  const pixels = Buffer.from(Array.from({ length: batch * BYTES }, (_, i) => (i * 2654435761) % 251));
  return { bytes: Buffer.concat([Buffer.from(head), pixels]), header: head.length };
}

/** Images per second that `connections` get answered, each asking again at once. */
async function rate(url: string, batch: number, connections: number, seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const { bytes, header } = body(batch);
  const headers = { 'content-type': 'application/octet-stream', 'content-length': bytes.length, 'inference-header-content-length': header };
  const ask = (): Promise<boolean> =>
    new Promise((resolve) => {
      const asked = request(`${url}/v2/models/printed-digits/infer`, { method: 'POST', agent, headers }, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode === 200));
      });
      asked.on('error', () => resolve(false));
      asked.end(bytes);
    });
  let [answered, until] = [0, Infinity];
  const loop = async (): Promise<void> => {
    while (performance.now() < until) if ((await ask()) && performance.now() < until) answered += batch;
  };
  // The connections are opened first.
  await Promise.all(Array.from({ length: connections }, ask));
  const started = performance.now();
  until = started + 1000 * seconds;
  await Promise.all(Array.from({ length: connections }, loop));
  agent.destroy();
  return answered / seconds;
}

async function limit(url: string): Promise<number> {
  let best = 0;
  for (const { batch, connections } of QUICK ? SHAPES.slice(-2) : SHAPES) {
    const found = await rate(url, batch, connections, LIMIT_SECONDS);
    console.log(`  ${batch} images × ${connections} connections: ${Math.round(found)}/s`);
    best = Math.max(best, found);
  }
  return best;
}

/** A browser to which the test is attached only until the training has started. */
class Loose {
  private constructor(
    private readonly process: ChildProcess,
    private readonly folder: string,
    readonly endpoint: string,
  ) {}

  static async start(): Promise<Loose> {
    const folder = await mkdtemp(join(tmpdir(), 'fed-bbpt-page-'));
    const stated = config.use?.launchOptions?.args ?? [];
    const [program, args] = on(SHARE?.others, CHROMIUM, [...stated, '--headless=new', '--remote-debugging-port=0', `--user-data-dir=${folder}`, '--no-first-run', 'about:blank']);
    const process = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const endpoint = await new Promise<string>((resolve, reject) => {
      process.once('exit', () => reject(new Error('the browser ended')));
      createInterface(process.stderr).on('line', (line) => {
        const found = /ws:\/\/\S+/.exec(line)?.[0];
        if (found !== undefined) resolve(found);
      });
    });
    return new Loose(process, folder, endpoint);
  }

  async close(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.process.kill();
    await ended;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const pause = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** Images that the model API has answered. */
async function answered(model: string): Promise<number> {
  const metrics = await (await fetch(`${model}/metrics`)).text();
  return Number(/^model_api_images_total\{.*\} (\d+)$/m.exec(metrics)?.[1]);
}

/** Queries per second of one page once its pace has settled. */
async function page(house: House, model: string, url: string, step: object): Promise<number> {
  const federation = await house.federation({ ...TASK, ...step, 'model.url': url });
  const loose = await Loose.start();
  try {
    const browser = await chromium.connectOverCDP(loose.endpoint);
    const context = browser.contexts()[0] ?? (await browser.newContext());
    const tab = new JoinPage(await context.newPage());
    await tab.takePart(federation.link, 1, 1200);
    await tab.above('queries', 0);
    await browser.close();
    await pause(SETTLE_SECONDS);
    const [before, started] = [await answered(model), performance.now()];
    await pause(PAGE_SECONDS);
    return (1000 * ((await answered(model)) - before)) / (performance.now() - started);
  } finally {
    await loose.close();
  }
}

test('queries per second of a page against the limit of the model API', async () => {
  test.setTimeout(900_000);
  if (SHARE !== null) execFileSync('taskset', ['-a', '-p', '-c', SHARE.others, String(process.pid)], { stdio: 'ignore' });
  const house = await House.open();
  const model = await Child.start(...on(SHARE?.server, FED_BBPT, ['model-api', '--listen', '127.0.0.1:0', '--allow-origin', house.aggregator]));
  const found: Record<string, Record<string, number>> = {};
  try {
    for (const delay of DELAYS_MS) {
      const proxy = delay === 0 ? { url: model.url, close: () => undefined } : await delayed(new URL(model.url), delay);
      const most = await limit(proxy.url);
      const row: Record<string, number> = { limit: Math.round(most) };
      for (const [name, step] of Object.entries(STEPS)) {
        const rate = await page(house, model.url, proxy.url, step);
        expect(rate).toBeGreaterThan(0);
        row[`page_${name}_steps`] = Math.round(rate);
        row[`fraction_of_limit_${name}_steps`] = Math.round((1000 * rate) / most) / 1000;
      }
      found[`${delay}_ms`] = row;
      console.log(`${delay} ms:`, row);
      proxy.close();
    }
  } finally {
    await model.stop();
    await house.close();
  }
  await writeFile(process.env['FIGURE_OUT'] ?? test.info().outputPath('throughput.json'), JSON.stringify(found));
});
