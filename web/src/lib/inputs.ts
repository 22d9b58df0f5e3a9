/** What a federation's inputs are, and what they, their prompt and what is sent of them are called on the pages. */

export type Inputs = 'images' | 'texts';

const NOUNS = {
  images: { item: 'picture', items: 'pictures', Items: 'Pictures', copies: 'copies', prompt: 'pattern', generator: 'pattern generator' },
  texts: { item: 'text', items: 'texts', Items: 'Texts', copies: 'texts', prompt: 'prompt', generator: 'prompt' },
} as const;

/** The kind of a task's inputs. Total: what is no task is one of images. */
export function inputsOf(task: unknown): Inputs {
  const { model } = (task ?? {}) as { model?: { input?: { kind?: unknown } } };
  return model?.input?.kind === 'text' ? 'texts' : 'images';
}

/** Puts the nouns in: "on the {items} kept aside" → "on the texts kept aside". */
export function fill(words: string, inputs: Inputs): string {
  const nouns: Record<string, string> = NOUNS[inputs];
  return words.replace(/\{(\w+)\}/g, (whole, noun: string) => nouns[noun] ?? whole);
}

/** Fills in each `data-noun` below `root`, and shows of `data-inputs` what is for this kind. */
export function showInputs(root: ParentNode, inputs: Inputs): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-noun]')) element.textContent = fill(`{${element.dataset['noun'] ?? ''}}`, inputs);
  for (const element of root.querySelectorAll<HTMLElement>('[data-inputs]')) element.hidden = element.dataset['inputs'] !== inputs;
}
