/** The aggregator and the model API that all tests of one Playwright worker share, and federations on them. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Child } from './child.ts';
import { checkPaths, FED_BBPT, TEXT_MODEL, TEXT_MODELS, WEB } from './paths.ts';

const run = promisify(execFile);

export const ADMIN_TOKEN = 'the-token-of-these-tests-0123456789';

/** A setting of the task and its value: `federation.rounds`, 10. */
export type Settings = Record<string, string | number>;

/**
 * Rounds that one participant carries by itself, and that end as soon as everything is there: for tests of the
 * page in which the learning does not matter.
 */
export const ALONE: Settings = {
  'federation.open.count_min': 1,
  'federation.upload.count_min': 1,
  'federation.local_steps': 1,
  'federation.rounds': 100_000,
};

/** Reviews, and the small masked language model of random weights that the model API's own tests have. */
const REVIEWS = `
name = "Reviews"
description = "Is a review good or bad?"

[model]
url = "http://127.0.0.1:1"
name = "masked"
input = { kind = "text" }

[data]
labels = ["positive", "negative"]
holdout = 0.25

[text]
input = "{text} It was <mask>."
words = ["great", "terrible"]

[generator]
positions = 2
candidates = ["", "film", "acting", "plot", "all"]

[optimizer]
draws = 4

[federation]
rounds = 3
local_steps = 2
batch = 4
`;

/** The rest of a task of soft prompts, up to the generator's last line. */
const SOFT = `
[data]
labels = ["positive", "negative"]
holdout = 0.25

[text]
input = "{text} It was"
words = ["great", "terrible"]

[optimizer]
kind = "cma-es"
population = 4

[federation]
rule = "scalars"
local_steps = 1
batch = 4
open = { time_min_ms = 0 }
upload = { time_min_ms = 0 }

[generator]
kind = "soft"
tokens = 2
dimensions = 6
deviation = 1.0
`;

export interface Federation {
  id: string;
  /** The invite link. */
  link: string;
}

/** The aggregator's public details of a federation, as far as tests read them. */
export interface Detail {
  summary: { id: string; status: string; step: number; steps: number; live: number; participants: number; secure: boolean; privacy: { epsilon: number; limit: number; delta: number } | null };
  rounds: { round: number; phase: string; delivered: number; cohort: number; metrics: { correct: number; total: number; queries: number } }[];
}

export class House {
  /** Started by the first test that needs it. */
  private textProcess: Promise<Child> | null = null;

  private constructor(
    private readonly folder: string,
    private readonly web: string,
    private aggregatorProcess: Child,
    private readonly modelProcess: Child,
  ) {}

  /** Both servers on free ports, with the pages in `web`; the aggregator first, because the model API must allow its origin. */
  static async open(web: string = WEB): Promise<House> {
    checkPaths();
    const folder = await mkdtemp(join(tmpdir(), 'fed-bbpt-browser-'));
    const aggregator = await House.aggregator(folder, web, '127.0.0.1:0');
    const model = await Child.start(FED_BBPT, ['model-api', '--listen', '127.0.0.1:0', '--allow-origin', aggregator.url]);
    return new House(folder, web, aggregator, model);
  }

  private static aggregator(folder: string, web: string, listen: string): Promise<Child> {
    return Child.start(FED_BBPT, ['serve', '--listen', listen, '--database', join(folder, 'tests.sqlite'), '--web', web, '--models', TEXT_MODELS], { FED_BBPT_ADMIN_TOKEN: ADMIN_TOKEN });
  }

  /** The aggregator dies without warning; what it gives starts it again on the same port and database. */
  async killAggregator(): Promise<() => Promise<void>> {
    const { host } = new URL(this.aggregator);
    await this.aggregatorProcess.kill();
    return async () => {
      this.aggregatorProcess = await House.aggregator(this.folder, this.web, host);
    };
  }

  get aggregator(): string {
    return this.aggregatorProcess.url;
  }

  get model(): string {
    return this.modelProcess.url;
  }

  /** The address of a model of texts. */
  async textModel(): Promise<string> {
    this.textProcess ??= Child.start(FED_BBPT, ['model-api', '--model-folder', TEXT_MODEL, '--listen', '127.0.0.1:0', '--allow-origin', this.aggregator]);
    return (await this.textProcess).url;
  }

  async close(): Promise<void> {
    const text = await this.textProcess;
    await Promise.all([text?.stop(), this.modelProcess.stop(), this.aggregatorProcess.stop()]);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Creates a federation of the built-in handwriting task, as an organiser does on the command line. */
  async federation(settings: Settings = {}): Promise<Federation> {
    return this.create('handwriting', { 'model.url': this.model, ...settings });
  }

  /** The same, and the model runs on the owners' devices. */
  async onDevice(settings: Settings = {}): Promise<Federation> {
    return this.create('handwriting-on-device', { 'model.url': `${this.aggregator}/models`, ...settings });
  }

  /** Reviews whose model runs on the owners' devices. */
  async reviewsOnDevice(settings: Settings = {}): Promise<Federation> {
    const names = ['config.json', 'model.onnx', 'tokenizer.json', 'tokenizer_config.json'];
    const hashed = names.map(async (name) => [name, createHash('sha256').update(await readFile(join(TEXT_MODEL, name))).digest('hex')] as const);
    const files = JSON.stringify(Object.fromEntries(await Promise.all(hashed)));
    return this.reviews({ 'model.dialect': 'on-device', 'model.url': `${this.aggregator}/models`, 'model.on_device.files': files, ...settings });
  }

  /** Creates a federation of texts: reviews, `positive` or `negative`. */
  async reviews(settings: Settings = {}): Promise<Federation> {
    const file = join(this.folder, 'reviews.toml');
    await writeFile(file, REVIEWS);
    const url = settings['model.url'] ?? (await this.textModel());
    return this.create(file, { ...settings, 'model.url': url });
  }

  /** Reviews with a soft prompt, for one alone; `model`: the task's `[model]`, and numbers in an embedding of it. */
  async soft(model: string, hidden: number): Promise<Federation> {
    const file = join(this.folder, 'soft.toml');
    await writeFile(file, `name = "Reviews, softly"${model}${SOFT}hidden = ${hidden}\n`);
    return this.create(file, ALONE);
  }

  /** In plain unless the settings have secure sums: most tests have one tab, and no sum hides one alone. */
  private async create(task: string, all: Settings): Promise<Federation> {
    const secure = Object.keys(all).some((path) => path.startsWith('federation.secure_sum'));
    const set = Object.entries(secure ? all : { ...all, 'federation.secure_sum': 'false' }).flatMap(([path, value]) => ['--set', `${path}=${value}`]);
    const args = ['federation', 'create', task, ...set, '--server', this.aggregator, '--json'];
    const { stdout } = await run(FED_BBPT, args, { env: { ...process.env, FED_BBPT_ADMIN_TOKEN: ADMIN_TOKEN } });
    const { federation, invite } = JSON.parse(stdout) as { federation: string; invite: string };
    return { id: federation, link: `${this.aggregator}/f/${federation}/#invite=${invite}` };
  }

  /** Every file that the aggregator has written. */
  async stored(): Promise<Buffer[]> {
    const names = (await readdir(this.folder)).filter((name) => name.startsWith('tests.sqlite'));
    return Promise.all(names.map((name) => readFile(join(this.folder, name))));
  }

  async detail(id: string): Promise<Detail> {
    const response = await fetch(`${this.aggregator}/v1/federations/${id}`);
    if (!response.ok) throw new Error(`the aggregator answers ${response.status}`);
    return (await response.json()) as Detail;
  }
}
