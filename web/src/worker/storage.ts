/**
 * What this browser keeps of a federation, in IndexedDB: a few records of bytes, named by federation and key.
 * The keys' meaning is `client-wasm/src/web/saved.rs`, except `agreement`, which is JSON of this side's; an API key is never among them.
 */

const DATABASE = 'fed-bbpt';
const STORE = 'records';
/** All record keys; `forget` deletes exactly these. */
const KEYS = ['identity', 'membership', 'state', 'data', 'agreement'] as const;

export type RecordKey = (typeof KEYS)[number];
export type Records = Record<RecordKey, Uint8Array | undefined>;

export class Storage {
  readonly #federation: string;
  #database: Promise<IDBDatabase> | null = null;

  constructor(federation: string) {
    this.#federation = federation;
  }

  async read(): Promise<Records> {
    const found = await this.#run('readonly', (store) => KEYS.map((key) => store.get(this.#name(key))));
    const bytes = (value: unknown): Uint8Array | undefined => (value instanceof Uint8Array ? value : undefined);
    return Object.fromEntries(KEYS.map((key, at) => [key, bytes(found[at])])) as Records;
  }

  async save(key: string, bytes: Uint8Array): Promise<void> {
    await this.#run('readwrite', (store) => [store.put(bytes, this.#name(key))]);
  }

  async forget(): Promise<void> {
    await this.#run('readwrite', (store) => KEYS.map((key) => store.delete(this.#name(key))));
  }

  #name(key: string): string {
    return `${this.#federation}/${key}`;
  }

  /** Runs requests in one transaction and waits until it is on disk. */
  async #run(mode: IDBTransactionMode, make: (store: IDBObjectStore) => IDBRequest[]): Promise<unknown[]> {
    const database = await this.#open();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const requests = make(transaction.objectStore(STORE));
      const failed = () => reject(transaction.error ?? new Error('the browser refused to store anything'));
      transaction.oncomplete = () => resolve(requests.map((request) => request.result));
      transaction.onerror = failed;
      transaction.onabort = failed;
    });
  }

  #open(): Promise<IDBDatabase> {
    // A failed attempt is not kept: the next one may succeed.
    this.#database ??= open().catch((error: unknown) => {
      this.#database = null;
      throw error;
    });
    return this.#database;
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onerror = () => reject(request.error ?? new Error('the browser gives no storage'));
    request.onblocked = () => reject(new Error('another tab holds an older version of the storage open'));
    request.onsuccess = () => {
      // A newer page in another tab may want to change the layout.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
  });
}
