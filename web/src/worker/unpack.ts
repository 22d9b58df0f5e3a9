/** Unpacks gzip and zip within limits, because a small archive may claim to hold terabytes. */
import { Unzip, UnzipInflate, type UnzipFile } from 'fflate';

/** Largest size in bytes of one unpacked file, and of all files together. */
export const MOST_FILE_BYTES = 256 * 1024 * 1024;
export const MOST_BYTES = 1024 * 1024 * 1024;
export const MOST_ENTRIES = 20_000;

/** An archive that is refused; the message is for the person. */
export class ArchiveError extends Error {}

/** Unpacks a gzipped file. */
export async function gunzip(name: string, packed: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const reader = packed.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new ArchiveError(`${name}: the gzip is damaged or cut off; download it again`);
    });
    if (done) {
      return joined(chunks, size);
    }
    size += value.length;
    if (size > MOST_FILE_BYTES) {
      await reader.cancel();
      throw new ArchiveError(`${name}: unpacks to more than ${MOST_FILE_BYTES >> 20} MiB; choose a smaller file`);
    }
    chunks.push(value);
  }
}

export interface Entry {
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Unpacks a zip. Entries that `wanted` refuses are skipped without being unpacked. */
export async function unzip(name: string, packed: Blob, wanted: (path: string) => boolean): Promise<Entry[]> {
  const entries: Entry[] = [];
  let total = 0;
  let seen = 0;
  let fault: ArchiveError | null = null;
  const refuse = (message: string) => {
    fault ??= new ArchiveError(`${name}: ${message}`);
  };
  const unzipper = new Unzip((file: UnzipFile) => {
    seen += 1;
    if (seen > MOST_ENTRIES) {
      refuse(`holds more than ${MOST_ENTRIES.toLocaleString('en')} files; choose a smaller archive`);
    }
    if (fault !== null || file.name.endsWith('/') || !wanted(file.name)) {
      return;
    }
    const chunks: Uint8Array[] = [];
    let size = 0;
    file.ondata = (error, chunk, final) => {
      if (error !== null) {
        refuse(`the entry ${file.name} is damaged; pack it again`);
        return;
      }
      // Counted while unpacking, because the sizes that the archive states may be false.
      size += chunk.length;
      total += chunk.length;
      if (size > MOST_FILE_BYTES || total > MOST_BYTES) {
        refuse(`unpacks to more than ${MOST_BYTES >> 20} MiB; choose a smaller archive`);
        file.terminate();
        return;
      }
      chunks.push(chunk);
      if (final) {
        entries.push({ path: file.name, bytes: joined(chunks, size) });
      }
    };
    file.start();
  });
  unzipper.register(UnzipInflate);
  const reader = packed.stream().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || fault !== null) {
        break;
      }
      // In small parts: the library recurses once for each entry that begins in a part.
      for (let at = 0; at < value.length && fault === null; at += 4096) {
        unzipper.push(value.subarray(at, at + 4096));
      }
    }
    unzipper.push(new Uint8Array(0), true);
  } catch {
    refuse('the archive is damaged, encrypted or cut off; pack it again');
  }
  await reader.cancel();
  if (fault !== null) {
    throw fault;
  }
  return entries;
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
