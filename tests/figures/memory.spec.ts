/**
 * Peak memory of a browser participant: one tab in a browser of its own takes part in a few rounds, for each prompt
 * generator. Writes `FIGURE_OUT`, a JSON object by generator; the numbers are MiB.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test, type Browser, type Page } from '@playwright/test';
import { JoinPage } from '../browser/pages/join.ts';
import { House, type Federation, type Settings } from '../browser/support/house.ts';
import { file } from '../browser/support/pictures.ts';
import { CHROMIUM, WEB } from '../browser/support/paths.ts';
import config from '../figures.config.ts';

const MIB = 1 << 20;
const EXAMPLES = 400;
const SAMPLE_MS = 50;

const ROUNDS: Settings = { 'federation.rounds': 4, 'federation.open.count_min': 1, 'federation.upload.count_min': 1, 'federation.open.time_min_ms': 0, 'federation.upload.time_min_ms': 0 };

/** Steps of the size that the built-in tasks have: 4 pictures, 15 directions forward; of texts 16 and 20 draws, whose steps are larger, so that there are fewer. */
const GENERATORS: Record<string, (house: House) => Promise<Federation>> = {
  statistic: (house) => house.federation(ROUNDS),
  frame: (house) => house.federation({ ...ROUNDS, generator: '{"kind":"frame"}' }),
  coordinator: (house) => house.federation({ ...ROUNDS, generator: '{"kind":"coordinator"}' }),
  discrete: (house) => house.reviews({ ...ROUNDS, 'optimizer.draws': 20, 'federation.batch': 16, 'federation.local_steps': 2 }),
};

interface Peak {
  /** Linear memory, which never shrinks. */
  wasm_mib: number;
  /** Used by JavaScript, page and Worker together. */
  js_heap_mib: number;
  /** Resident set of the tab's process at its largest, by the kernel; null where there is no /proc. */
  renderer_mib: number | null;
  /** The same before the federation was opened: what an empty tab takes. */
  empty_tab_mib: number | null;
}

/**
 * A copy of the built pages whose scripts note the wasm module's memory when it is instantiated. Scripts that Playwright
 * answers itself come from no address, and the browser keeps such a Worker from asking servers on this machine.
 */
async function notingPages(folder: string): Promise<void> {
  const note = `for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const made = await original(...given);
      self.wasmMemory = (made.instance ?? made).exports.memory;
      return made;
    };
  }\n`;
  // The compressed copies would be sent in place of what is edited here.
  await cp(WEB, folder, { recursive: true, filter: (path) => !/\.(br|gz)$/.test(path) });
  for (const name of await readdir(folder, { recursive: true })) {
    if (name.endsWith('.js')) await writeFile(join(folder, name), note + (await readFile(join(folder, name), 'utf8')));
  }
}

/** Asks how much JavaScript the page and its Worker use, in bytes, by the debugger's protocol. */
async function heapOf(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  let worker: string | null = null;
  let told: (used: number) => void = () => undefined;
  session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type === 'worker') worker = sessionId;
  });
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { result } = JSON.parse(message) as { result?: { usedSize?: number } };
    told(result?.usedSize ?? 0);
  });
  // Not flattened: Playwright's sessions cannot speak to a Worker's own.
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  return async () => {
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    if (worker === null) return usedSize;
    const answer = new Promise<number>((resolve) => (told = resolve));
    await session.send('Target.sendMessageToTarget', { sessionId: worker, message: JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }) });
    return usedSize + (await answer);
  };
}

/** Bytes of the wasm module's memory, in the Worker. */
function wasmMemory(): number {
  return (globalThis as unknown as { wasmMemory?: WebAssembly.Memory }).wasmMemory?.buffer.byteLength ?? 0;
}

/** Peak resident memory of the largest renderer process, in MiB. */
async function renderer(browser: Browser): Promise<number | null> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const peaks = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(async ({ id }) => {
      const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
      return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? NaN) / 1024;
    });
  const largest = Math.max(...(await Promise.all(peaks)).filter((peak) => !Number.isNaN(peak)));
  return Number.isFinite(largest) ? largest : null;
}

async function load(owner: JoinPage, generator: string): Promise<void> {
  if (generator !== 'discrete') return owner.chooseBuiltin(1, EXAMPLES);
  const lines = Array.from({ length: EXAMPLES }, (_, i) => `${i % 2 ? 'positive' : 'negative'}: film ${i} had a plot`);
  await owner.files(file('reviews.txt', lines.join('\n').replaceAll(': ', ' ')));
  await expect(owner.id('data-report')).toBeVisible();
}

async function measure(house: House, generator: string, make: (house: House) => Promise<Federation>): Promise<Peak> {
  const federation = await make(house);
  const browser = await chromium.launch({ ...config.use?.launchOptions, executablePath: CHROMIUM });
  try {
    const page = await browser.newPage();
    await page.goto(`${house.aggregator}/favicon.ico`);
    const empty = await renderer(browser);
    const heap = await heapOf(page);
    const owner = new JoinPage(page);
    await owner.open(federation.link);
    await load(owner, generator);
    await owner.start();
    let [js, wasm] = [0, 0];
    while (!(await owner.id('finished').isVisible())) {
      js = Math.max(js, await heap());
      wasm = Math.max(wasm, ...(await Promise.all(page.workers().map((worker) => worker.evaluate(wasmMemory)))));
      await page.waitForTimeout(SAMPLE_MS);
    }
    expect(wasm, 'the wasm module was found').toBeGreaterThan(0);
    expect((await house.detail(federation.id)).summary.step).toBe(ROUNDS['federation.rounds']);
    return { wasm_mib: wasm / MIB, js_heap_mib: js / MIB, renderer_mib: await renderer(browser), empty_tab_mib: empty };
  } finally {
    await browser.close();
  }
}

test('peak memory of a participant, by generator', async () => {
  const pages = await mkdtemp(join(tmpdir(), 'fed-bbpt-figures-'));
  await notingPages(pages);
  const house = await House.open(pages);
  const peaks: Record<string, Record<string, number | null>> = {};
  try {
    for (const [generator, make] of Object.entries(GENERATORS)) {
      const peak = await measure(house, generator, make);
      peaks[generator] = Object.fromEntries(Object.entries(peak).map(([key, value]) => [key, value === null ? null : Math.round(10 * Number(value)) / 10]));
      console.log(generator, peaks[generator]);
    }
  } finally {
    await house.close();
    await rm(pages, { recursive: true });
  }
  await writeFile(process.env['FIGURE_OUT'] ?? test.info().outputPath('memory.json'), JSON.stringify(peaks));
});
