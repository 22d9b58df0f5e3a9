/**
 * Opens the owner's files of texts: unpacks, hands on. What they hold, and what is wrong with it, the wasm decides
 * (`client-wasm/src/web/text_loader.rs`).
 */
import type { TextLoader } from '../../wasm/client_wasm';
import { bytesOf, opened, textOf, unpacked, type Chosen, type Progress } from './files';

/** Longer files do not fit into a tab's memory beside what is read from them. */
const MOST_BYTES = 128 * 1024 * 1024;

/** Loads files into the loader; what cannot be used is skipped there with a reason. */
export async function loadTexts(loader: TextLoader, chosen: readonly Chosen[], progress: Progress): Promise<void> {
  const files = new Map((await unpacked(loader, chosen)).map(({ path, file }) => [path, file]));
  const planned = JSON.parse(loader.plan([...files.keys()])) as { path: string; gzip: boolean }[];
  for (const [done, { path, gzip }] of planned.entries()) {
    progress(done, planned.length);
    try {
      loader.addFile(path, await bytesOf(await opened(path, files, gzip), MOST_BYTES));
    } catch (error) {
      loader.skip(path, textOf(error));
    }
  }
  progress(planned.length, planned.length);
}
