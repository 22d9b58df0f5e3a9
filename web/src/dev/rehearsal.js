// A Vite plugin for looking at the pages without the programs behind them: `npx vite --mode rehearsal`.
// It answers as the aggregator does, with an invented federation, and puts an invented Worker in place of the
// real one. Never part of a build.

const STARTED = Date.now();
const STEPS = 50;
const ROUND_MS = 2500;
const TOKEN = 'rehearsal';

// It begins anew after its end.
const step = () => Math.min(STEPS, 8 + (Math.floor((Date.now() - STARTED) / ROUND_MS) % 60));
const hash = (n) => (n * 2654435761 >>> 0).toString(16).padStart(8, '0').repeat(8);
const accuracy = (n) => 0.14 + 0.66 * (1 - Math.exp(-n / 14)) + 0.015 * Math.sin(n * 1.7);

function record(n, aborted = false) {
  const total = 412;
  return {
    round: n, step: n, phase: aborted ? 'aborted' : 'done', reason: aborted ? 'too-few-unmasked' : null, cohort: 5, delivered: aborted ? 1 : 5,
    metrics: aborted ? { correct: 0, total: 0, loss: 0, queries: 0 } : { correct: Math.round(accuracy(n) * total), total, loss: total * (2.9 * Math.exp(-n / 12) + 0.6), queries: 6400 },
    theta: hash(n), epsilon: 0.4 * Math.sqrt(n + 1), bytes_up: 12_400, finished_at: STARTED - (STEPS - n) * ROUND_MS,
  };
}

/** Line number `k` of the record: round k − 1, in which the rehearsed tab is participant 2. The Worker hashes it to know its head. */
function line(k) {
  const round = k - 1;
  const wave = (i) => 5 * Math.sin(i * 0.11 + round) * Math.exp(-(((i % 24) - 12) ** 2) / 60) + Math.sin(i * 1.7 + round);
  const numbers = [...Array.from({ length: 576 }, (_, i) => Math.round(1e6 * wave(i))), 150, 120, 200, 3, 4, 0, 90];
  const sum = Buffer.from(BigInt64Array.from(numbers, BigInt).buffer).toString('base64');
  const contributors = [0, 1, 2, 4, 6].map((participant) => ({ participant, vector: participant === 2 ? hash(round) : hash(round * 7 + participant) }));
  return JSON.stringify({ previous: hash(k), entry: { round: { round, step: round, aborted: null, cohort: { contributors }, sums: { secure: { groups: [{ members: [0, 1, 2, 4, 6], sum }] } } } } });
}

function current() {
  const n = step();
  const into = ((Date.now() - STARTED) % ROUND_MS) / ROUND_MS;
  const upload = into > 0.6;
  return {
    version: n * 100 + Math.floor(into * 10), status: n >= STEPS ? 'finished' : 'running', step: n, round: n, phase: upload ? 'masked' : 'open', theta: hash(n), lines: n + 1, record: hash(n + 99),
    standing: 'idle', enrolled: Math.floor(into * 7), cohort: upload ? 5 : 0, delivered: upload ? Math.floor((into - 0.6) * 12) : 0, live: 6, deadline_ms: 42_000,
  };
}

function summary(id) {
  const closed = id === 'leaves';
  return {
    id, name: closed ? 'Leaf diseases from phone photographs' : id === 'news' ? news.name : 'Read handwritten digits',
    description: closed ? 'An earlier federation.' : 'A model that has only ever seen printed digits learns to read handwriting: a pattern is found that, laid over each picture, lets the model recognise what people write by hand.',
    status: closed ? 'closed' : current().status, step: closed ? 31 : step(), steps: STEPS, participants: closed ? 12 : 7, live: closed ? 0 : 6, dim: 576,
    model_origin: 'http://127.0.0.1:8701', created_at: STARTED - 3_600_000, task_hash: hash(7), secure: !closed, privacy: closed ? null : { epsilon: 0.4 * Math.sqrt(step()), limit: 8, delta: 1e-5 },
  };
}

const task = {
  name: 'Read handwritten digits', model: { url: 'http://127.0.0.1:8701', name: 'printed-digits', input: { height: 32, width: 32 }, output: { classes: 10 } },
  data: { labels: [...'0123456789'], inner: [24, 24] }, generator: { kind: 'statistic' }, optimizer: { kind: 'zo-sgd', directions: 2 }, federation: { rounds: 50, local_steps: 5, batch: 32, server: { kind: 'adam' }, secure_sum: { cohort_min: 5 }, privacy: { epsilon: 8, delta: 1e-5 } },
};

const news = {
  name: 'Sort news by topic', model: { url: 'http://127.0.0.1:8701', name: 'minilm', input: { kind: 'text' } },
  data: { labels: ['1', '2', '3', '4'] }, text: { template: 'This text is about {}.', words: ['World', 'Sports', 'Business', 'Sci/Tech'] },
  generator: { positions: 4, candidates: ['', 'news', 'stories', 'reuters'] }, optimizer: { draws: 20 }, federation: { rounds: 50, local_steps: 5, batch: 16 },
};

function detail(id) {
  const rounds = Array.from({ length: step() }, (_, n) => record(n, n === 5));
  return { summary: summary(id), task: id === 'news' ? news : task, rounds, current: current(), choice: null };
}

function answer(request, response, body) {
  const url = new URL(request.url, 'http://rehearsal');
  const send = (status, value, type = 'application/json') => {
    response.writeHead(status, { 'content-type': type });
    response.end(value === null ? undefined : JSON.stringify(value));
  };
  const problem = (status, code, title, extra = {}) => send(status, { type: 'about:blank', status, code, title, ...extra }, 'application/problem+json');
  const admin = request.headers.authorization === `Bearer ${TOKEN}`;
  const id = /^\/v1\/federations\/([^/]+)/.exec(url.pathname)?.[1];
  if (id !== undefined && !['digits', 'leaves', 'news'].includes(id)) return problem(404, 'not_found', 'There is no such federation here; check the address');
  if (url.pathname === '/v1/admin/check') return admin ? send(204, null) : problem(401, 'unauthorized', 'The token is missing or wrong');
  if (url.pathname === '/v1/federations' && request.method === 'GET') return send(200, [summary('digits'), summary('leaves')]);
  if (url.pathname === '/v1/federations') {
    if (JSON.stringify(body).includes('0.0.0.0')) return send(201, { federation: 'digits', id: '4f2a9c0d11e37b58', invite: 'k3J-0aQx7Zt' });
    return problem(422, 'bad_task', 'The task has 3 faults', { faults: [
      { path: 'model.url', message: 'must be an http:// or https:// address with a host, such as http://127.0.0.1:8701' },
      { path: 'data.inner', message: 'must be [height, width] within the model’s 32×32' }, { path: 'federation.epochs', message: 'is not a setting; known here: rounds, local_steps' } ] });
  }
  const invite = (name, more) => ({ id: name, created_at: Date.now() - 3_600_000, expires_at: null, uses: null, used: 2, revoked: false, ...more });
  if (url.pathname.includes('/invites/')) return send(200, invite('4f2a9c0d11e37b58', { revoked: true }));
  if (url.pathname.endsWith('/invites') && request.method === 'GET') return send(200, [invite('4f2a9c0d11e37b58'), invite('90b1', { expires_at: Date.now() + 9e7, uses: 5 }), invite('77ce', { uses: 2 })]);
  if (url.pathname.endsWith('/invites')) return send(201, { federation: id, id: '90b1', invite: 'p0-9ZyWq' });
  if (url.pathname.endsWith('/record')) {
    response.writeHead(200, { 'content-type': 'text/plain' });
    return response.end(`${line(Number(url.searchParams.get('from')))}\n`);
  }
  if (url.pathname.endsWith('/close')) return send(200, { ...summary(id), status: 'closed' });
  if (url.pathname.endsWith('/events')) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let last = step();
    const timer = setInterval(() => {
      const now = step();
      response.write(`event: progress\ndata: ${JSON.stringify({ current: current(), finished: now > last ? record(now - 1) : null, participants: 7 })}\n\n`);
      last = now;
    }, 400);
    return response.on('close', () => clearInterval(timer));
  }
  return send(200, detail(id));
}

export function rehearsal() {
  return {
    name: 'rehearsal',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (request.url.startsWith('/v1/')) {
          let text = '';
          request.on('data', (chunk) => (text += chunk));
          return request.on('end', () => answer(request, response, text === '' ? null : JSON.parse(text)));
        }
        request.url = request.url.replace(/^\/f\/[^/]+\/(at\/[^/]+\/)?(\?.*)?$/, '/join.html').replace(/^\/f\/[^/]+\/(at\/[^/]+\/)?/, '/').replace(/^\/organiser(\?.*)?$/, '/organiser.html');
        request.url = request.url.replace('/src/worker/main.ts', '/src/dev/worker.ts');
        return next();
      });
    },
  };
}
