/**
 * The module Worker: owns the wasm, the owner's data and the API key. Messages in, messages out
 * (`protocol.ts`); everything that is decided is decided in the wasm.
 */
import { Loader, Session, TextLoader, useDevice, useEmbeddings } from '../../wasm/client_wasm';
import type { DeviceModel, EmbeddingsModel } from '../device/protocol';
import { readAgreement } from '../join/agreed';
import { loadFiles, type Progress } from './files';
import { lookAtGpu } from './gpu';
import { Host, type Post } from './host';
import { holdAlone } from './lock';
import { announced, loaded } from './module';
import type { DataSource, ToWorker, Trouble } from './protocol';
import { Storage } from './storage';
import { loadTexts } from './texts';

const post: Post = (message, transfer = []) => self.postMessage(message, { transfer });
let session: Session | undefined;
let storage: Storage | undefined;
/** What of a model has to be fetched to this device before it can be asked. */
interface Fetching {
  ready(progress: Progress, pity: (trouble: Trouble) => void): Promise<void>;
  forget(): Promise<void>;
}

/** Where the model runs on this device, or its embeddings are needed here. */
let device: Fetching | undefined;

/** The wasm instance is dead, or never lived; the page starts a new Worker. */
function fatal(error: unknown): void {
  post({ type: 'fatal', message: error instanceof Error ? error.message : String(error) });
}

self.addEventListener('error', (event) => fatal(event.message));
self.addEventListener('unhandledrejection', (event) => fatal(event.reason));

async function open(message: ToWorker & { type: 'open' }): Promise<void> {
  await holdAlone(message.federation, () => post({ type: 'elsewhere' }));
  const [gpu, detail] = await Promise.all([lookAtGpu(message.backend), announced(message), loaded]);
  storage = new Storage(message.federation);
  // A browser that stores nothing says so when something is to be saved.
  const found = await storage.read().catch(() => undefined);
  // Otherwise the browser may throw the state away when its disk is full.
  navigator.storage?.persist?.().catch(() => undefined);
  // Data alone were chosen, and perhaps never agreed to be used.
  if (found?.membership !== undefined || found?.agreement !== undefined) post({ type: 'stored', agreement: readAgreement(found.agreement) });
  const { type: _, ...opening } = message;
  const host = new Host(post, storage);
  session = await Session.open(JSON.stringify({ ...opening, gpu }), detail, found?.identity, found?.membership, found?.state, found?.data, host);
  const model = session?.deviceModel();
  if (model !== undefined) {
    // Only those who need it load it.
    const { DevicePool, startWorker } = await import('../device/pool');
    const pool = new DevicePool(JSON.parse(model) as DeviceModel, navigator.hardwareConcurrency ?? 1, startWorker);
    useDevice(pool);
    device = pool;
  }
  const table = session?.embeddingsModel();
  if (table !== undefined) {
    const { EmbeddingsHere } = await import('../device/embeddings');
    device = new EmbeddingsHere(JSON.parse(table) as EmbeddingsModel, useEmbeddings);
  }
}

/** Asks for a first answer of the model, once a model on this device is loaded. Leaving does not wait for it. */
async function checkModel(apiKey: string | undefined): Promise<void> {
  try {
    await device?.ready(
      throttled((done, total) => post({ type: 'model-progress', done, total })),
      (trouble) => post({ type: 'trouble', trouble }),
    );
  } catch (trouble) {
    post({ type: 'trouble', trouble: trouble as Trouble });
    return;
  }
  session?.checkModel(apiKey);
}

async function leave(): Promise<void> {
  await device?.forget();
  await session?.leave();
}

async function load(source: DataSource): Promise<void> {
  if (session === undefined) {
    return;
  }
  const progress = throttled((done, total) => post({ type: 'data-progress', done, total }));
  const loader = session.takesTexts() ? new TextLoader(session) : new Loader(session);
  try {
    await (loader instanceof TextLoader ? fillTexts(loader, source, progress) : fillPictures(loader, source, progress));
    await loader.finish();
  } finally {
    loader.free();
  }
}

async function fillTexts(loader: TextLoader, source: DataSource, progress: Progress): Promise<void> {
  if (source.kind === 'files') {
    await loadTexts(loader, source.files, progress);
  } else if (source.kind === 'pasted') {
    try {
      loader.addPasted(source.content);
    } catch {
      // The loader keeps what was wrong and says it when it finishes without a text.
    }
  }
}

async function fillPictures(loader: Loader, source: DataSource, progress: Progress): Promise<void> {
  switch (source.kind) {
    case 'builtin':
      loader.addBuiltin(source.owner, source.count);
      break;
    case 'drawn':
      for (const { label, width, height, rgba } of source.drawings) {
        loader.addDrawing(label, width, height, new Uint8Array(rgba.buffer, rgba.byteOffset, rgba.length));
      }
      break;
    case 'files':
      await loadFiles(loader, source.files, progress);
      break;
    case 'pasted':
      break;
  }
}

/** At most ten messages a second, and the last one. */
function throttled(tell: Progress): Progress {
  let last = 0;
  return (done, total) => {
    const now = performance.now();
    if (done === total || now - last > 100) {
      last = now;
      tell(done, total);
    }
  };
}

async function take(message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'open':
      return open(message);
    case 'check-model':
      checkModel(message.apiKey ?? undefined).catch(fatal);
      return;
    case 'load-data':
      return load(message.source);
    case 'agree':
      // A browser that stores nothing says so when the data are saved; then there is nothing to come back to.
      return storage?.save('agreement', new TextEncoder().encode(JSON.stringify(message.agreement))).catch(() => undefined);
    case 'start':
      return session?.start();
    case 'pause':
      return session?.pause();
    case 'resume':
      return session?.resume();
    case 'leave':
      return leave();
    case 'pictures':
      return session?.pictures(message.count);
    case 'visible':
      return session?.visible();
  }
}

// In order: what is asked while a federation is being opened, or data are loaded, comes after.
let queue: Promise<void> = Promise.resolve();
self.addEventListener('message', (event: MessageEvent<ToWorker>) => {
  queue = queue.then(() => take(event.data)).catch(fatal);
});

