/**
 * Opens the pictures that the owner chose: unpacks them, decodes them, and passes them on. The wasm decides what each file is
 * and what is wrong with it (`client-wasm/src/web/loader.rs`).
 */
import type { Loader } from '../../wasm/client_wasm';
import { ArchiveError, gunzip, unzip } from './unpack';

/** Largest picture file that is read, in bytes. */
const MOST_PICTURE_BYTES = 64 * 1024 * 1024;
const MOST_TABLE_BYTES = 512 * 1024 * 1024;
/** Decoders read the type from the content, but want to be told one. */
const TYPE = 'image/*';

export interface Chosen {
  path: string;
  file: Blob;
}

interface Planned {
  number: number;
  path: string;
  gzip: boolean;
  kind: 'image' | 'csv' | 'idx-images';
  partner: string | null;
}

export type Progress = (done: number, total: number) => void;

/** Loads files into the loader, which skips what cannot be used and gives a reason. */
export async function loadFiles(loader: Loader, chosen: readonly Chosen[], progress: Progress): Promise<void> {
  const files = new Map<string, Blob>();
  for (const { path, file } of await unpacked(loader, chosen)) {
    files.set(path, file);
  }
  const paths = [...files.keys()];
  if (paths.length === 0) {
    return;
  }
  let planned: Planned[];
  try {
    const tablePath = loader.labelTable(paths);
    const table = tablePath === undefined ? undefined : await bytesOf(files.get(tablePath) as Blob, MOST_TABLE_BYTES);
    planned = JSON.parse(loader.plan(paths, tablePath, table)) as Planned[];
  } catch (error) {
    loader.skip('the chosen files', textOf(error));
    return;
  }
  for (const [done, plan] of planned.entries()) {
    progress(done, planned.length);
    try {
      await loadOne(loader, files, plan);
    } catch (error) {
      loader.skip(plan.path, textOf(error));
    }
  }
  progress(planned.length, planned.length);
}

async function loadOne(loader: Loader, files: ReadonlyMap<string, Blob>, plan: Planned): Promise<void> {
  const content = await opened(plan.path, files, plan.gzip);
  loader.check(plan.number, new Uint8Array(await content.slice(0, 512).arrayBuffer()));
  switch (plan.kind) {
    case 'image':
      return addPicture(loader, plan, content);
    case 'csv':
      return loader.addCsv(plan.path, await bytesOf(content, MOST_TABLE_BYTES));
    case 'idx-images': {
      const labelsPath = plan.partner ?? '';
      const labels = await opened(labelsPath, files, labelsPath.toLowerCase().endsWith('.gz'));
      return loader.addIdx(
        plan.path,
        await bytesOf(content, MOST_TABLE_BYTES),
        labelsPath,
        await bytesOf(labels, MOST_TABLE_BYTES),
      );
    }
  }
}

export async function opened(path: string, files: ReadonlyMap<string, Blob>, gzip: boolean): Promise<Blob> {
  const file = files.get(path);
  if (file === undefined) {
    throw new ArchiveError(`${path}: the file is missing; choose it too`);
  }
  return gzip ? new Blob([await gunzip(path, file)]) : file;
}

async function addPicture(loader: Loader, plan: Planned, content: Blob): Promise<void> {
  if (content.size > MOST_PICTURE_BYTES) {
    throw new ArchiveError(`${plan.path}: larger than ${MOST_PICTURE_BYTES >> 20} MiB; make it smaller`);
  }
  let bitmap: ImageBitmap;
  try {
    // Colours as they are in the file, because browsers convert colour profiles differently.
    bitmap = await createImageBitmap(content.slice(0, content.size, TYPE), {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (error) {
    throw new ArchiveError(loader.undecodable(plan.path, error instanceof Error ? error.message : 'unknown format'));
  }
  try {
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (context === null) {
      throw new ArchiveError(`${plan.path}: the picture is too large for this browser; make it smaller`);
    }
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    loader.addPicture(plan.number, width, height, new Uint8Array(data.buffer));
  } finally {
    bitmap.close();
  }
}

/** Replaces each archive by its entries. The archives' names keep the entries of several archives apart. */
export async function unpacked(loader: Pick<Loader, 'skip'>, chosen: readonly Chosen[]): Promise<Chosen[]> {
  const all: Chosen[] = [];
  for (const { path, file } of chosen) {
    if (!path.toLowerCase().endsWith('.zip')) {
      all.push({ path, file });
      continue;
    }
    try {
      const prefix = chosen.length > 1 ? `${path.replace(/\.zip$/i, '')}/` : '';
      for (const entry of await unzip(path, file, useful)) {
        all.push({ path: prefix + entry.path, file: new Blob([entry.bytes]) });
      }
    } catch (error) {
      loader.skip(path, textOf(error));
    }
  }
  return all;
}

/** Files that an operating system leaves behind are not worth unpacking. */
function useful(path: string): boolean {
  return !path.startsWith('__MACOSX/') && !path.split('/').some((part) => part.startsWith('.'));
}

export async function bytesOf(blob: Blob, most: number): Promise<Uint8Array> {
  if (blob.size > most) {
    throw new ArchiveError(`larger than ${most >> 20} MiB; choose a smaller file`);
  }
  return new Uint8Array(await blob.arrayBuffer());
}

export function textOf(error: unknown): string {
  if (typeof error === 'string') {
    return error;
  }
  return error instanceof Error ? error.message : String(error);
}
