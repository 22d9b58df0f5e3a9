/** Files as they are dropped or picked, with their paths below the choice. */

export interface PathedFile {
  path: string;
  file: File;
}

/** More are not collected: the Worker takes 10,000 and says which it left out. */
const MAX_COLLECTED = 50_000;

/** From a file input; a folder's files carry their paths. */
export function fromList(files: FileList): PathedFile[] {
  return Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** From a drop, folders included. Must be called in the event itself: afterwards the items are gone. */
export async function fromDrop(transfer: DataTransfer): Promise<PathedFile[]> {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const entries = items.map((item) => item.webkitGetAsEntry());
  const plain = items.map((item) => item.getAsFile());
  const found: PathedFile[] = [];
  for (const [i, entry] of entries.entries()) {
    const file = plain[i];
    if (entry !== null) await collect(entry, found);
    else if (file) found.push({ path: file.name, file });
  }
  return found;
}

async function collect(entry: FileSystemEntry, found: PathedFile[]): Promise<void> {
  if (found.length >= MAX_COLLECTED) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ''), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A folder is handed out in portions; an empty one is the end.
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) return;
    for (const inner of portion) await collect(inner, found);
  }
}
