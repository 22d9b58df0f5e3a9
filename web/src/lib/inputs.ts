/** What a federation's inputs are, what they, their prompt and what is sent of them are called on the pages, and whether they are sent at all. */

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

/** Whether a task's model runs where the data are, so that they are sent to nobody. Total, like `inputsOf`. */
export function runsHere(task: unknown): boolean {
  const { model } = (task ?? {}) as { model?: { dialect?: unknown } };
  return model?.dialect === 'on-device';
}

/** Whether the labels' words go with each text: language models are asked for the next word, and some classifiers have words of their own. Total, like `inputsOf`. */
export function sendsLabels(task: unknown): boolean {
  const { model } = (task ?? {}) as { model?: { dialect?: unknown; huggingface?: { task?: unknown } } };
  return model?.dialect !== 'openai' && !(model?.dialect === 'huggingface' && model.huggingface?.task === 'text-classification');
}

/** From where the files come with which texts are made into embeddings, where they are sent as such. Total, like `inputsOf`. */
export function embeddingsFrom(task: unknown): string | undefined {
  const { model, generator } = (task ?? {}) as { model?: { openai?: { prompt_embeds?: { url?: unknown } } }; generator?: { kind?: unknown } };
  const url = model?.openai?.prompt_embeds?.url;
  return generator?.kind === 'soft' && typeof url === 'string' && URL.canParse(url) ? url : undefined;
}

/** Shows of `data-runs` below `root` what holds for a model on this device (`here`) or behind an API (`there`). */
export function showPlace(root: ParentNode, here: boolean): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-runs]')) element.hidden = (element.dataset['runs'] === 'here') !== here;
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
