/**
 * Opens the owner's files of texts: unpacks them and passes them on. The wasm decides what they hold and what is wrong
 * (`client-wasm/src/web/text_loader.rs`).
 */
import type { TextLoader } from '../../wasm/client_wasm';
import { bytesOf, opened, textOf, unpacked, type Chosen, type Progress } from './files';

/** Largest file in bytes: a larger one does not fit into a tab's memory together with what is read from it. */
const MOST_BYTES = 128 * 1024 * 1024;

/** Loads files into the loader, which skips what cannot be used and gives a reason. */
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
