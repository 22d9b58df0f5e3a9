/**
 * A Worker that runs the model: one of several beside the training Worker, so that training does not wait for it. It
 * owns an instance of the on-device module; inputs go nowhere else.
 */
import init, { Files, type Model } from '../../wasm-on-device/on_device';
import type { FromDevice, Request, ToDevice } from './protocol';
import { codeOf } from './trouble';

const post = (message: FromDevice, transfer: Transferable[] = []): void => self.postMessage(message, { transfer });
let model: Model | undefined;
/** The message of the panic that ended the instance. */
let last = '';

self.addEventListener('error', (event) => {
  last = event.message;
  event.preventDefault();
});

async function load(message: ToDevice & { type: 'load' }): Promise<void> {
  const started = performance.now();
  await init();
  const files = new Files(message.model);
  for (const [at, file] of message.files.entries()) {
    files.add(at, new Uint8Array(await file.arrayBuffer()));
  }
  model = files.load();
  post({ type: 'loaded', milliseconds: performance.now() - started });
}

function answer({ path, headerLength, body }: Request): void {
  if (model === undefined) return;
  const found = model.answer(path, headerLength, body);
  const bytes = found.takeBody() as Uint8Array<ArrayBuffer>;
  post({ type: 'answer', answer: { status: found.status, headers: found.headers, body: bytes } }, [bytes.buffer]);
  found.free();
}

/** Reports that the instance crashed or could not be started. */
function failed(error: unknown): void {
  const code = codeOf(error, last);
  const message = last !== '' ? last : error instanceof Error ? error.message : String(error);
  post({ type: 'failed', code, message });
}

self.addEventListener('message', (event: MessageEvent<ToDevice>) => {
  const { data } = event;
  if (data.type === 'load') {
    load(data).catch(failed);
    return;
  }
  try {
    answer(data.request);
  } catch (error) {
    failed(error);
  }
});
