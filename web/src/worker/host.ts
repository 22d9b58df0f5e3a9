/** What the wasm client asks of its Worker; the other side is `client-wasm/src/web/host.rs`. */
import type { FromWorker } from './protocol';
import type { Storage } from './storage';

export type Post = (message: FromWorker, transfer?: Transferable[]) => void;

export class Host {
  readonly #post: Post;
  readonly #storage: Storage;

  constructor(post: Post, storage: Storage) {
    this.#post = post;
    this.#storage = storage;
  }

  /** Posts JSON in which `{"$bytes": i}` stands for the i-th buffer. */
  post(json: string, buffers: Uint8ClampedArray<ArrayBuffer>[]): void {
    const message = revive(json, buffers) as FromWorker;
    this.#post(
      message,
      buffers.map((buffer) => buffer.buffer),
    );
  }

  async save(key: string, bytes: Uint8Array): Promise<void> {
    await this.#storage.save(key, bytes);
  }

  async forget(): Promise<void> {
    await this.#storage.forget();
  }
}

/** Replaces each `{"$bytes": i}` by the i-th buffer. */
export function revive(json: string, buffers: readonly Uint8ClampedArray[]): unknown {
  return JSON.parse(json, (_, value: unknown) => {
    if (typeof value === 'object' && value !== null && '$bytes' in value) {
      return buffers[value.$bytes as number];
    }
    return value;
  });
}
