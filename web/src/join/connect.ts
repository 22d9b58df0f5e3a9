/** The connect dialog: tries the model with one harmless question and shows the answer, or how to fix the problem. */
import { dialectOf } from '../lib/dialects';
import { byId, h, setText } from '../lib/dom';
import { count, money, plural } from '../lib/format';
import type { Inputs } from '../lib/inputs';
import type { FromWorker, Trouble } from '../worker/protocol';
import type { Situation } from './cures';

type Opened = Extract<FromWorker, { type: 'opened' }>;
type Checked = Extract<FromWorker, { type: 'model-checked' }>;

/** Questions that a request usually holds, because training asks few at a time. */
const USUAL = 32;

/** The part of the task that concerns calling the model. */
interface Called {
  model?: { dialect?: string; name?: string; price?: Partial<Price> };
}

interface Price {
  currency: string;
  per_call: number;
  per_query: number;
  per_million_input_tokens: number;
  per_million_output_tokens: number;
  budget: number;
}

/** The cost in words; null if the task names no price. */
export function costInWords(price: Partial<Price> | undefined, queries: number, batch: number): string | null {
  if (price === undefined) return null;
  const currency = price.currency ?? 'USD';
  const calls = Math.ceil(queries / Math.max(1, batch));
  const known = (price.per_call ?? 0) * calls + (price.per_query ?? 0) * queries;
  const tokens = (price.per_million_input_tokens ?? 0) + (price.per_million_output_tokens ?? 0) > 0;
  const parts = [known > 0 ? `about ${money(known)} ${currency} for ${count(queries)} questions` : null, tokens ? `${known > 0 ? 'plus ' : ''}what the provider charges for tokens` : null];
  const limit = (price.budget ?? 0) > 0 ? `This browser stops before ${money(price.budget ?? 0)} ${currency} are spent.` : 'There is no limit on what may be spent.';
  const said = parts.filter((part) => part !== null).join(' ');
  return said === '' ? limit : `${said.charAt(0).toUpperCase()}${said.slice(1)}. ${limit}`;
}

export class ConnectDialog {
  private readonly dialog = byId('connect-dialog', HTMLDialogElement);
  private readonly steps = byId('connect-steps', HTMLElement);
  private readonly cures = byId('connect-cures', HTMLElement);
  private readonly again = byId('connect-again', HTMLButtonElement);

  /** `check` asks the Worker to try the model with the key given. */
  constructor(
    private readonly check: (key: string | null) => void,
    private readonly opened: () => Opened | null,
    private readonly inputs: () => Inputs,
  ) {
    const key = byId('connect-key', HTMLInputElement);
    byId('connect-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.run();
    });
    // The key has two fields: training uses what is typed here.
    key.addEventListener('input', () => (byId('api-key', HTMLInputElement).value = key.value));
    byId('connect-close', HTMLButtonElement).addEventListener('click', () => this.dialog.close());
  }

  /** Opens and tries the model. */
  start(): void {
    byId('connect-key', HTMLInputElement).value = byId('api-key', HTMLInputElement).value;
    this.dialog.showModal();
    this.run();
  }

  /** Whether answers to the Worker's check belong here. */
  get open(): boolean {
    return this.dialog.open;
  }

  private run(): void {
    this.again.disabled = true;
    this.cures.replaceChildren();
    const question = this.inputs() === 'texts' ? 'the text “Hello.”' : 'an even grey picture';
    this.steps.replaceChildren(h('li', { class: 'busy' }, `Asking ${this.opened()?.modelOrigin ?? 'the model'} about ${question}…`));
    this.check(byId('connect-key', HTMLInputElement).value.trim() || null);
  }

  /** Shows that the model answered. */
  checked(checked: Checked): void {
    this.again.disabled = false;
    const opened = this.opened();
    const { label, class: number, share } = checked.answer;
    const queries = opened?.trainingQueries ?? 0;
    const batch = checked.maxBatch ?? USUAL;
    const cost = costInWords((opened?.task as Called | undefined)?.model?.price, queries, Math.min(batch, USUAL));
    const lines = [
      `It answers and allows this page: ${checked.name}.`,
      `To a harmless question it said “${label ?? `class ${number}`}” (${Math.round(100 * share)}%).`,
      `That took ${Math.round(checked.answerMs)} ms. One request may hold ${plural(batch, this.inputs() === 'texts' ? 'text' : 'picture')}${checked.maxBatch === null ? ' or more' : ''}.`,
      `If you take part, it is asked up to ${count(queries)} questions.`,
      ...(cost === null ? [] : [cost]),
    ];
    this.steps.replaceChildren(...lines.map((line) => h('li', { class: 'good' }, line)));
    this.steps.dataset['state'] = 'good';
  }

  /** Shows an error that occurred outside this dialog, with possible fixes. */
  explain(trouble: Trouble): void {
    byId('connect-key', HTMLInputElement).value = byId('api-key', HTMLInputElement).value;
    if (!this.dialog.open) this.dialog.showModal();
    void this.failed(trouble);
  }

  /** Shows that trying failed, with possible fixes. */
  async failed(trouble: Trouble): Promise<void> {
    this.again.disabled = false;
    this.steps.replaceChildren(h('li', { class: 'bad', 'data-code': trouble.code }, h('strong', {}, trouble.title), h('span', {}, trouble.detail)));
    this.steps.dataset['state'] = 'bad';
    const opened = this.opened();
    const task = opened?.task as Called | undefined;
    // Most visitors never need them.
    const { cures } = await import('./cures');
    const found = cures({
      code: trouble.code,
      dialect: dialectOf(task?.model?.dialect).name,
      url: opened?.modelUrl ?? '',
      page: location.origin,
      model: task?.model?.name ?? '',
      localNetwork: await localNetwork(),
    });
    this.cures.replaceChildren(
      ...found.map((cure) => h('div', { class: 'cure' }, h('dt', {}, cure.who), h('dd', {}, cure.what, cure.setting === undefined ? null : h('code', {}, cure.setting)))),
    );
    setText(byId('connect-heard', HTMLElement), `${trouble.title}. ${plural(found.length, 'possible fix', 'possible fixes')} below.`);
  }
}

/** The browser's permission for requests to this device and its network; null if it has no such permission. */
async function localNetwork(): Promise<Situation['localNetwork']> {
  try {
    const status = await navigator.permissions.query({ name: 'local-network-access' as PermissionName });
    return status.state;
  } catch {
    return null;
  }
}
