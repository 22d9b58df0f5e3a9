/** Step 1: where the pictures or texts come from. Every choice results in one `DataSource`. */
import { byId, show } from '../lib/dom';
import { plural } from '../lib/format';
import type { Inputs } from '../lib/inputs';
import { Tabs } from '../lib/tabs';
import type { DataSource } from '../worker/protocol';
import { DrawingBoard } from './draw';
import { fromDrop, fromList, type PathedFile } from './dropped';
import { asksForDigits, labelList } from './labels';

/** Files that may hold texts. */
const TEXT_FILES = '.csv,.tsv,.jsonl,.ndjson,.json,.txt,.gz,.zip,text/csv,text/plain,application/json,application/zip';

/** A whole number from an input, within its bounds. */
function bounded(input: HTMLInputElement, fallback: number): number {
  const value = Math.round(input.valueAsNumber);
  const clamped = Math.min(Number(input.max), Math.max(Number(input.min), Number.isFinite(value) ? value : fallback));
  input.value = String(clamped);
  return clamped;
}

export class Chooser {
  private readonly tabs = new Tabs(byId('source-tabs', HTMLElement));
  private readonly board: DrawingBoard;

  constructor(private readonly onSource: (source: DataSource, words: string) => void) {
    this.board = new DrawingBoard((drawings) => this.onSource({ kind: 'drawn', drawings }, `Reading ${plural(drawings.length, 'drawing')}…`));
    this.wireBuiltin();
    this.wireFiles();
    this.wirePaste();
  }

  /** Offers the ways that make sense for the federation's kind of inputs and its labels. */
  offer(inputs: Inputs, labels: readonly string[], words: readonly string[]): void {
    show(document, 'labels', labelList(labels, words));
    if (inputs === 'texts') {
      byId('pick-files', HTMLInputElement).accept = TEXT_FILES;
      byId('paste-text', HTMLTextAreaElement).placeholder = labels.slice(0, 2).map((label) => `${label}: a text`).join('\n');
      this.tabs.offer(['tab-files', 'tab-paste']);
      this.tabs.select('tab-files');
      return;
    }
    this.board.setLabels(labels);
    const digits = asksForDigits(labels);
    this.tabs.offer(digits ? ['tab-builtin', 'tab-files', 'tab-draw'] : ['tab-files', 'tab-draw']);
    this.tabs.select(digits ? 'tab-builtin' : 'tab-files');
  }

  private wirePaste(): void {
    const text = byId('paste-text', HTMLTextAreaElement);
    byId('paste-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      if (text.value.trim() === '') text.focus();
      else this.onSource({ kind: 'pasted', content: text.value }, 'Reading what you pasted…');
    });
  }

  private wireBuiltin(): void {
    const owner = byId('builtin-owner', HTMLInputElement);
    const count = byId('builtin-count', HTMLInputElement);
    // Each visitor gets a writer of their own. Low numbers are the demo's owners.
    owner.value = String(100 + (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 99_900);
    byId('choose-builtin', HTMLButtonElement).addEventListener('click', () => {
      this.onSource({ kind: 'builtin', owner: bounded(owner, 100), count: bounded(count, 200) }, 'Writing digits…');
    });
  }

  private wireFiles(): void {
    for (const id of ['pick-folder', 'pick-files']) {
      const input = byId(id, HTMLInputElement);
      input.addEventListener('change', () => {
        if (input.files !== null && input.files.length > 0) this.files(fromList(input.files));
        // Choosing the same files again must count as a change.
        input.value = '';
      });
    }
    const card = byId('choose', HTMLElement);
    card.addEventListener('dragover', (event) => {
      event.preventDefault();
      this.tabs.select('tab-files');
      card.classList.add('dragging');
    });
    card.addEventListener('dragleave', (event) => {
      if (!(event.relatedTarget instanceof Node && card.contains(event.relatedTarget))) card.classList.remove('dragging');
    });
    card.addEventListener('drop', (event) => {
      event.preventDefault();
      card.classList.remove('dragging');
      if (event.dataTransfer !== null) void fromDrop(event.dataTransfer).then((files) => this.files(files));
    });
    // Without this, a file dropped beside the card would replace the page.
    for (const type of ['dragover', 'drop'] as const) window.addEventListener(type, (event) => event.preventDefault());
  }

  private files(files: PathedFile[]): void {
    if (files.length > 0) this.onSource({ kind: 'files', files }, `Reading ${plural(files.length, 'file')}…`);
  }
}
