/** The kind of a federation's inputs, the nouns that the pages use for them, and whether they leave the device. */
import { IMAGE_GENERATORS, TEXT_GENERATORS, type Generator } from '../generated/methods';
import { dialectOf } from './dialects';

export type Inputs = 'images' | 'texts';

const NOUNS = {
  images: { item: 'picture', items: 'pictures', Items: 'Pictures', copies: 'copies', prompt: 'pattern', generator: 'pattern generator' },
  texts: { item: 'text', items: 'texts', Items: 'Texts', copies: 'texts', prompt: 'prompt', generator: 'prompt' },
} as const;

/** The kind of a task's inputs. Never throws: anything that is not a task counts as one of images. */
export function inputsOf(task: unknown): Inputs {
  const { model } = (task ?? {}) as { model?: { input?: { kind?: unknown } } };
  return model?.input?.kind === 'text' ? 'texts' : 'images';
}

/** A task's prompt generator, the default one where it names none; undefined if its name is unknown here. Never throws. */
export function generatorOf(task: unknown): Generator | undefined {
  const { generator } = (task ?? {}) as { generator?: { kind?: unknown } };
  const all = inputsOf(task) === 'texts' ? TEXT_GENERATORS : IMAGE_GENERATORS;
  return generator?.kind === undefined ? all[0] : all.find(({ name }) => name === generator.kind);
}

/** Whether a task's model runs on the participant's device, so that no input leaves the device. Never throws. */
export function runsHere(task: unknown): boolean {
  const { model } = (task ?? {}) as { model?: { dialect?: unknown } };
  return dialectOf(model?.dialect).runsHere;
}

/** Whether the label words are sent with each text. They are not for language models, which are asked for the next word, and for classifiers with labels of their own. Never throws. */
export function sendsLabels(task: unknown): boolean {
  const { model } = (task ?? {}) as { model?: Record<string, unknown> };
  const { labels } = dialectOf(model?.['dialect']);
  return typeof labels === 'boolean' ? labels : at(model, labels[0]) !== labels[1];
}

/** The value at a dotted path, if there is one. */
function at(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((node, key) => (node as Record<string, unknown> | null | undefined)?.[key], tree);
}

/** Address of the files that turn texts into embeddings; undefined if texts are not sent as embeddings. Never throws. */
export function embeddingsFrom(task: unknown): string | undefined {
  const { model } = (task ?? {}) as { model?: Record<string, { prompt_embeds?: { url?: unknown } } | undefined> };
  // The table of a dialect's own settings is called as it is.
  const own = model?.[dialectOf(model['dialect']).name.replaceAll('-', '_')];
  const url = own?.prompt_embeds?.url;
  return generatorOf(task)?.embeddings === true && typeof url === 'string' && URL.canParse(url) ? url : undefined;
}

/** Shows the `data-runs` elements below `root` that apply to a model on this device (`here`) or behind an API (`there`), and hides the others. */
export function showPlace(root: ParentNode, here: boolean): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-runs]')) element.hidden = (element.dataset['runs'] === 'here') !== here;
}

/** Puts the nouns in: "on the {items} kept aside" → "on the texts kept aside". */
export function fill(words: string, inputs: Inputs): string {
  const nouns: Record<string, string> = NOUNS[inputs];
  return words.replace(/\{(\w+)\}/g, (whole, noun: string) => nouns[noun] ?? whole);
}

/** Fills in each `data-noun` below `root`, and shows the `data-inputs` elements for this kind of inputs. */
export function showInputs(root: ParentNode, inputs: Inputs): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-noun]')) element.textContent = fill(`{${element.dataset['noun'] ?? ''}}`, inputs);
  for (const element of root.querySelectorAll<HTMLElement>('[data-inputs]')) element.hidden = element.dataset['inputs'] !== inputs;
}
