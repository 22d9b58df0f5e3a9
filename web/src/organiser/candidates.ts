/** Words for a prompt from a file of public text, found in this page: nothing is sent. */
import { h, setText } from '../lib/dom';
import { plural } from '../lib/format';

/** Most words that are taken. */
const MOST = 100;

/** A file button that fills `field`; errors are shown in the element with the id `fault`. */
export function fromPublicText(field: HTMLTextAreaElement, fault: string): HTMLElement {
  const input = h('input', { type: 'file', class: 'visually-hidden', accept: '.csv,.tsv,.jsonl,.json,.txt,text/*', 'data-testid': 'candidates-file' });
  const said = h('span', { class: 'small', role: 'status' });
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    // Choosing the same file again must count as a change.
    const chosen = file === undefined ? Promise.resolve([]) : wordsOf(file);
    input.value = '';
    setText(said, 'Reading…');
    chosen.then(
      (words) => {
        field.value = words.join(', ');
        setText(said, `${plural(words.length, 'word')} found`);
        report(fault, '');
      },
      (thrown: unknown) => {
        setText(said, '');
        report(fault, typeof thrown === 'string' ? thrown : `The file cannot be read: ${String(thrown)}`);
      },
    );
  });
  return h('p', { class: 'actions' }, h('label', { class: 'button' }, 'Take them from public text…', input), said);
}

function report(id: string, text: string): void {
  const place = document.getElementById(id);
  if (place !== null) setText(place, text);
}

async function wordsOf(file: File): Promise<string[]> {
  // Large, and seldom needed.
  const wasm = await import('../../wasm/client_wasm');
  await wasm.default();
  return wasm.promptCandidates(file.name, new Uint8Array(await file.arrayBuffer()), MOST);
}
