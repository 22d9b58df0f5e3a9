/**
 * How much of a model API's own limit one page makes use of: the page trains on the embedded model, directly and through a
 * proxy that delays every byte, and its queries are counted by the second. The limit is the most that plain requests with the
 * same bytes get from the same server through the same proxy on the same machine, over several sizes and numbers of connections.
 * Writes `FIGURE_OUT`.
 */
import { writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { chromium, expect, test } from '@playwright/test';
import { JoinPage } from '../browser/pages/join.ts';
import { House } from '../browser/support/house.ts';
import { CHROMIUM } from '../browser/support/paths.ts';
import config from '../figures.config.ts';

const QUICK = process.env['FIGURE_QUICK'] !== undefined;
/** Added to every round trip. */
const DELAYS_MS = [0, 20, 200];
const LIMIT_SECONDS = QUICK ? 1 : 4;
const PAGE_SECONDS = QUICK ? 3 : 20;
/** Until the pace has settled. */
const SETTLE_SECONDS = QUICK ? 2 : 8;
/** Images in a request, and connections. */
const SHAPES = [32, 128, 256].flatMap((batch) => [8, 32].map((connections) => ({ batch, connections })));
/**
 * Steps large enough that the delay between two of them, which no client can fill because the next step's images follow from
 * this one's answers, is little: 64 images under 16 points each.
 */
const STEPS = { 'federation.batch': 64, 'federation.local_steps': 50, 'federation.rounds': 1000, 'federation.open.count_min': 1, 'federation.upload.count_min': 1, 'federation.open.time_min_ms': 0, 'federation.upload.time_min_ms': 0, 'data.holdout': 0.05 };
const BYTES = 3 * 32 * 32;

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

/** Queries per second of one page once its pace has settled. */
async function page(house: House, url: string): Promise<number> {
  const federation = await house.federation({ ...STEPS, 'model.url': url });
  const browser = await chromium.launch({ ...config.use?.launchOptions, executablePath: CHROMIUM });
  try {
    const tab = new JoinPage(await browser.newPage());
    await tab.takePart(federation.link, 1, 400);
    await tab.above('queries', 0);
    await tab.page.waitForTimeout(1000 * SETTLE_SECONDS);
    const [before, started] = [await tab.value('queries'), performance.now()];
    await tab.page.waitForTimeout(1000 * PAGE_SECONDS);
    return (1000 * ((await tab.value('queries')) - before)) / (performance.now() - started);
  } finally {
    await browser.close();
  }
}

test('queries per second of a page against the limit of the model API', async () => {
  test.setTimeout(900_000);
  const house = await House.open();
  const found: Record<string, Record<string, number>> = {};
  try {
    for (const delay of DELAYS_MS) {
      const proxy = await delayed(new URL(house.model), delay);
      const most = await limit(proxy.url);
      const page_rate = await page(house, proxy.url);
      expect(page_rate).toBeGreaterThan(0);
      found[`${delay}_ms`] = { limit: Math.round(most), page: Math.round(page_rate), fraction_of_limit: Math.round((1000 * page_rate) / most) / 1000 };
      console.log(`${delay} ms:`, found[`${delay}_ms`]);
      proxy.close();
    }
  } finally {
    await house.close();
  }
  await writeFile(process.env['FIGURE_OUT'] ?? test.info().outputPath('throughput.json'), JSON.stringify(found));
});
