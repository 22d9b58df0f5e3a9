/**
 * Peak memory of a browser participant: one tab in a browser of its own takes part in a few rounds, for each prompt
 * generator. Writes `FIGURE_OUT`, a JSON object by generator; the numbers are MiB.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { chromium, type Browser, type Page } from '@playwright/test';
import { JoinPage } from '../browser/pages/join.ts';
import { House, type Federation, type Settings } from '../browser/support/house.ts';
import { file } from '../browser/support/pictures.ts';
import { CHROMIUM } from '../browser/support/paths.ts';
import { expect, test } from '../browser/support/test.ts';
import config from '../figures.config.ts';

const MIB = 1 << 20;
const EXAMPLES = 400;
const SAMPLE_MS = 50;

const ROUNDS: Settings = { 'federation.rounds': 4, 'federation.open.count_min': 1, 'federation.upload.count_min': 1, 'federation.open.time_min_ms': 0, 'federation.upload.time_min_ms': 0 };

/** Steps of the size that the built-in tasks have: 4 pictures, 15 directions forward; of texts 16 and 20 draws. */
const GENERATORS: Record<string, (house: House) => Promise<Federation>> = {
  statistic: (house) => house.federation(ROUNDS),
  frame: (house) => house.federation({ ...ROUNDS, generator: '{"kind":"frame"}' }),
  coordinator: (house) => house.federation({ ...ROUNDS, generator: '{"kind":"coordinator"}' }),
  discrete: (house) => house.reviews({ ...ROUNDS, 'optimizer.draws': 20, 'federation.batch': 16, 'federation.local_steps': 5 }),
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

/** Lets the Worker's script note the wasm module's memory when it is instantiated. */
async function noteMemory(page: Page): Promise<void> {
  const note = `for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const made = await original(...given);
      self.wasmMemory = (made.instance ?? made).exports.memory;
      return made;
    };
  }\n`;
  await page.route('**/*.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: note + (await response.text()) });
  });
}

/** Used JavaScript memory and wasm memory of the page or of its Worker, in bytes. */
function used(): [js: number, wasm: number] {
  const { memory } = performance as unknown as { memory: { usedJSHeapSize: number } };
  const { wasmMemory } = globalThis as unknown as { wasmMemory?: WebAssembly.Memory };
  return [memory.usedJSHeapSize, wasmMemory?.buffer.byteLength ?? 0];
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

async function load(join: JoinPage, generator: string): Promise<void> {
  if (generator !== 'discrete') return join.chooseBuiltin(1, EXAMPLES);
  const lines = Array.from({ length: EXAMPLES }, (_, i) => `${i % 2 ? 'positive' : 'negative'}: film ${i} had a plot and some acting`);
  await join.files(file('reviews.txt', lines.join('\n').replaceAll(': ', ' ')));
  await expect(join.id('data-report')).toBeVisible();
}

async function measure(house: House, generator: string, make: (house: House) => Promise<Federation>): Promise<Peak> {
  const federation = await make(house);
  const browser = await chromium.launch({ ...config.use?.launchOptions, executablePath: CHROMIUM });
  try {
    const page = await browser.newPage();
    await page.goto(`${house.aggregator}/favicon.ico`);
    const empty = await renderer(browser);
    await noteMemory(page);
    const join = new JoinPage(page);
    await join.open(federation.link);
    await load(join, generator);
    await join.start();
    let [js, wasm] = [0, 0];
    while (!(await join.id('finished').isVisible())) {
      const parts = await Promise.all([page.evaluate(used), ...page.workers().map((worker) => worker.evaluate(used))]);
      js = Math.max(js, parts.reduce((sum, [own]) => sum + own, 0));
      wasm = Math.max(wasm, ...parts.map(([, own]) => own));
      await page.waitForTimeout(SAMPLE_MS);
    }
    expect(wasm, 'the wasm module was found').toBeGreaterThan(0);
    expect((await house.detail(federation.id)).summary.step).toBe(ROUNDS['federation.rounds']);
    return { wasm_mib: wasm / MIB, js_heap_mib: js / MIB, renderer_mib: await renderer(browser), empty_tab_mib: empty };
  } finally {
    await browser.close();
  }
}

test('peak memory of a participant, by generator', async ({ house }) => {
  const peaks: Record<string, Record<string, number | null>> = {};
  for (const [generator, make] of Object.entries(GENERATORS)) {
    const peak = await measure(house, generator, make);
    peaks[generator] = Object.fromEntries(Object.entries(peak).map(([key, value]) => [key, value === null ? null : Math.round(10 * Number(value)) / 10]));
    console.log(generator, peaks[generator]);
  }
  await writeFile(process.env['FIGURE_OUT'] ?? test.info().outputPath('memory.json'), JSON.stringify(peaks));
});
