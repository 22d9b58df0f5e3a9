/**
 * An invented Worker for looking at the page: speaks the protocol, computes nothing. The federation `news` is one of
 * texts. Its federation id chooses
 * what happens: `?` in the page's own address is not seen here, so the invite does: `fatal`, `elsewhere`,
 * `resumable`, `model-down`, `no-open`, `inconsistent`, `spent`, `plain` (no secure sums), `quiet` (no noise).
 */
import type { AnsweredText, Backend, DataReport, FromWorker, Picture, ToWorker, TrainingProgress } from '../worker/protocol';

const HEAD = '5c0f1e72aa9d340b'.repeat(4);
const LABELS = [...'0123456789'];
const backend: Backend = { name: 'cpu', reason: 'no graphics adapter was found, so the processor computes', cpuMs: 3.4, webgpuMs: null, adapter: null };
let mode = '';
let isText = false;
let running: ReturnType<typeof setInterval> | undefined;
const progress: TrainingProgress = {
  activity: 'syncing', localStep: 0, localSteps: 5, view: null, before: 0.11, curve: [], delivered: 0, queries: 0, queryBudget: 0, bytesToModel: 0, bytesFromModel: 0,
  bytesToAggregator: 0, bytesFromAggregator: 0, stopped: null, suspicion: null, privacy: null, choice: null, record: null, confirmed: null, prepared: 64, renderMs: 2.1, askMs: 38, awaited: null,
};
let tick = 0;

const say = (message: FromWorker): void => postMessage(message);

/** A blurred stroke that is a little different for each seed. */
function picture(seed: number, pattern: number): Uint8ClampedArray {
  const pixels = new Uint8ClampedArray(4 * 32 * 32);
  for (let y = 0; y < 32; y++) {
    for (let x = 0; x < 32; x++) {
      const r = Math.hypot((x - 16) * (1 + 0.1 * Math.sin(seed)), y - 16 + 2 * Math.sin(seed * 2 + x / 5));
      const ink = 255 * Math.exp(-(((r - 7 - (seed % 3)) / 2) ** 2));
      const wave = 128 + 90 * Math.sin(x / 5 + seed / 3) * Math.cos(y / 6);
      const value = pattern === 0 ? ink : pattern === 1 ? wave : Math.max(0, Math.min(255, ink + (wave - 128) * 1.6 + 60));
      pixels.set([value, value, value, 255], 4 * (32 * y + x));
    }
  }
  return pixels;
}

function report(total: number): DataReport {
  const counts = LABELS.map((label, i) => ({ label, training: Math.round((total / 10) * 0.8) + (i % 3), holdout: Math.round(total / 50) }));
  return {
    counts, total: counts.reduce((n, c) => n + c.training + c.holdout, 0), skipped: [{ name: 'photos/Thumbs.db', reason: 'hidden or made by the operating system' }], skippedTotal: 31,
    warnings: ['The label “8” has only a few pictures: accuracy on it will be rough.'], samples: LABELS.map((label, i) => ({ label, width: 32, height: 32, rgba: picture(i, 0) })),
  };
}

const TOPICS = ['1', '2', '3', '4'];
const WORDS = ['World', 'Sports', 'Business', 'Sci/Tech'];
const TITLES = ['Fears for T N pension after talks', 'The Race is On: Second Private Team Sets Launch Date for Human Spaceflight', 'Oil prices rise', 'Chip makers wait for the spring'];
const BODY = 'Unions representing workers at Turner Newall say they are "disappointed" after talks with the stricken parent firm, and that nothing at all came of the many hours which they spent in a room without windows.';

function newsReport(): DataReport {
  return { ...report(160), counts: TOPICS.map((label, i) => ({ label, training: 32 + i, holdout: 8 })), total: 166, warnings: [], bytesPerQuery: 240, samples: TOPICS.map((label, i) => ({ label, first: TITLES[i] ?? '', second: i % 2 === 0 ? BODY : '' })) };
}

function texts(count: number): AnsweredText[] {
  return Array.from({ length: count }, (_, i) => ({ label: TOPICS[i] ?? '1', first: TITLES[i] ?? '', second: i % 2 === 0 ? BODY : '', answerBefore: i === 1 ? '2' : '4', answerNow: TOPICS[i] ?? '1', scoreBefore: 0.41, scoreNow: 0.87 }));
}

/** The hash of the record's line number `k`. */
async function headOf(k: number): Promise<string> {
  const text = (await (await fetch(`/v1/federations/digits/record?from=${k}`)).text()).trim();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A change of 576 numbers, and random ones in its place; its hash is the one in the rehearsed record. */
function masked(round: number): void {
  const change = Float32Array.from({ length: 576 }, (_, i) => Math.sin(i * 0.11 + round) * Math.exp(-(((i % 24) - 12) ** 2) / 60));
  const vector = ((round * 2654435761) >>> 0).toString(16).padStart(8, '0').repeat(8);
  say({ type: 'masked', update: { round, kind: 'training', entry_bytes: 4, vector }, change: new Uint8ClampedArray(change.buffer), sent: new Uint8ClampedArray(crypto.getRandomValues(new Uint8Array(2360)).buffer) });
}

function step(): void {
  tick += 1;
  const n = Math.floor(tick / 8);
  const phase = mode === 'plain' ? (tick % 8 > 5 ? 'upload' : 'open') : (['open', 'open', 'open', 'open', 'keys', 'shares', 'masked', 'confirm', 'unmask'] as const)[tick % 9] ?? 'open';
  const activities = ['measuring', 'training', 'training', 'training', 'training', 'waiting', 'uploading', 'waiting'] as const;
  progress.activity = activities[tick % 8] ?? 'training';
  progress.localStep = Math.min(5, tick % 8);
  progress.queries += 128;
  progress.bytesToModel += 128 * 3100;
  progress.bytesFromModel += 128 * 42;
  progress.bytesToAggregator = n * 2400;
  progress.bytesFromAggregator = n * 2900;
  progress.delivered = n;
  progress.view = {
    version: tick, status: 'running', step: n, round: n, phase, theta: '00', lines: n + 1, record: HEAD, registered: 0, attempt: 0, standing: 'in-cohort', enrolled: tick % 6, cohort: phase === 'open' ? 0 : 5,
    delivered: tick % 5, live: 6, deadline_ms: 41_000,
  };
  if (mode !== 'plain' && tick % 8 === 4) masked(n);
  progress.confirmed = mode !== 'plain' && tick % 8 > 4 ? { round: n, least: 4, members: 5 } : null;
  if (tick % 8 === 1) void headOf(n).then((head) => (progress.record = { lines: n + 1, head }));
  if (mode !== 'plain' && mode !== 'quiet') progress.privacy = { epsilon: 1.9 * Math.sqrt(n), limit: 8, delta: 1e-5 };
  if (tick % 8 === 1) progress.curve = [...progress.curve, { step: n, accuracy: 0.12 + 0.68 * (1 - Math.exp(-n / 9)), loss: 2.8 * Math.exp(-n / 10) + 0.5, total: 40 }];
  const ended = mode === 'inconsistent' && n > 3 ? 'inconsistent' : mode === 'spent' && n > 16 ? 'privacy-spent' : n >= 50 ? 'finished' : null;
  if (ended !== null) {
    progress.activity = 'stopped';
    progress.stopped = ended;
    progress.suspicion = ended === 'inconsistent' ? 'line 4 of the record is wrong: its θ does not follow from its sums' : null;
    clearInterval(running);
  }
  if (isText) progress.prompt = n > 3 ? 'reuters news stories This text is about {}.' : 'This text is about {}.';
  say({ type: 'progress', progress: structuredClone(progress) });
  if (mode === 'fatal' && tick === 30) say({ type: 'fatal', message: 'unreachable executed' });
  if (tick === 40 && mode === 'slow') say({ type: 'trouble', trouble: { code: 'model_overloaded', title: 'The model is overloaded', detail: 'It answered 503. The next try is in 8 seconds; you need do nothing.', where: 'model' } });
}

function pictures(count: number): Picture[] {
  return Array.from({ length: count }, (_, i) => ({
    label: String(i * 2), width: 32, height: 32, original: picture(i, 0), prompt: picture(tick / 9, 1), prompted: picture(i, 2),
    answerBefore: i === 1 ? '2' : '4', answerNow: i === 3 ? '9' : String(i * 2), scoreBefore: 0.41, scoreNow: 0.87,
  }));
}

onmessage = ({ data }: MessageEvent<ToWorker>): void => {
  switch (data.type) {
    case 'open':
      mode = data.invite ?? '';
      if (mode === 'elsewhere') return say({ type: 'elsewhere' });
      if (mode === 'no-open') return say({ type: 'trouble', trouble: { code: 'bad_invite', title: 'This invite is not valid', detail: 'It may have been used up or closed. Ask the organiser for a new link.', where: 'open' } });
      fetch(`${data.aggregator}/v1/federations/${data.federation}`)
        .then((response) => response.json())
        .then(({ summary, task }: { summary: Extract<FromWorker, { type: 'opened' }>['summary']; task: unknown }) => {
          const modelUrl = data.modelUrl ?? summary.model_origin;
          isText = data.federation === 'news';
          say({ type: 'opened', summary, task, labels: isText ? TOPICS : LABELS, modelUrl, modelOrigin: new URL(modelUrl).origin, backend, resumable: mode === 'resumable' || mode === 'fatal', participant: null, trainingQueries: 32_000, bytesPerQuery: 3100, bytesPerUpdate: 2400, sum: mode === 'plain' ? null : { people: 4, cohort: 5, groups: 1 }, noise: mode === 'plain' || mode === 'quiet' ? null : { epsilon: 8, delta: 1e-5, examples: false }, ...(isText ? { text: { words: WORDS, shown: 'This text is about {}.' } } : {}) });
        });
      return;
    case 'check-model':
      if (mode === 'model-down')
        return say({ type: 'trouble', trouble: { code: 'model_cors', title: 'The model API does not let this page ask', detail: 'It answers, but without allowing this page’s origin (CORS). Its operator must start it with --allow-origin ' + 'http://localhost:5173.', where: 'model' } });
      setTimeout(() => say({ type: 'model-checked', name: 'printed-digits', milliseconds: 21, answerMs: 12, answer: { label: '3', class: 3, share: 0.31 }, maxBatch: 256 }), 300);
      return;
    case 'load-data':
      say({ type: 'data-progress', done: 1, total: 2 });
      setTimeout(() => say(data.source.kind === 'files' && mode === 'bad-data' ? { type: 'trouble', trouble: { code: 'one_class', title: 'Only one label was found', detail: 'Choose pictures of at least two labels.', where: 'data' } } : { type: 'data-loaded', report: isText ? newsReport() : report(200) }), 400);
      return;
    case 'start':
    case 'resume':
      clearInterval(running);
      running = setInterval(step, 60);
      return;
    case 'pause':
      clearInterval(running);
      progress.activity = 'paused';
      return say({ type: 'progress', progress: structuredClone(progress) });
    case 'leave':
      clearInterval(running);
      progress.activity = 'stopped';
      progress.stopped = 'left';
      return say({ type: 'progress', progress: structuredClone(progress) });
    case 'pictures':
      return say(isText ? { type: 'texts', texts: texts(data.count) } : { type: 'pictures', pictures: pictures(data.count) });
    case 'visible':
      return;
  }
};
