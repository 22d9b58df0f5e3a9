/**
 * The form's fields: one for each setting of a task file that an organiser is likely to change. Other settings have
 * defaults, or need a task file. What can be chosen by name states its own fields; those are Rust's.
 */
import { DIALECT_HELP } from '../generated/dialect-help';
import type { FormField } from '../generated/FormField';
import { IMAGE_FORMS as IMAGE_GENERATORS, OPTIMIZER_FORMS as OPTIMIZERS, TEXT_FORMS as TEXT_GENERATORS, type About } from '../generated/method-forms';
import { dialectsThat } from '../lib/dialects';

/** How a field is edited and sent. An empty list is sent as an empty list, except `words`, which then keeps its default; `candidates` gets the empty word in front. */
export type Kind = 'text' | 'paragraph' | 'list' | 'words' | 'candidates' | 'whole' | 'number' | 'flag' | 'choice' | 'size';

export interface Field {
  /** The setting's path in the task: `model.input.width`. A size becomes a list of height and width. */
  path: string;
  label: string;
  kind: Kind;
  /** Initial value for pictures, or for both kinds. */
  value: string;
  /** Initial value in a task of texts, if it differs. */
  texts?: string;
  help?: string;
  options?: readonly (readonly [value: string, words: string])[];
  wide?: boolean;
  /** Shown and sent only if the field at this path has one of these values. */
  when?: readonly [path: string, ...values: string[]];
  /** A second condition of the same form, on another field. */
  and?: readonly [path: string, ...values: string[]];
  /** Only chooses among other fields; not a setting, and not sent. */
  formOnly?: boolean;
  /** Of such a flag: the setting that is sent as `false` while it is off. */
  off?: string;
}

export interface Group {
  title: string;
  /** Hidden behind a disclosure at first. */
  more?: boolean;
  fields: readonly Field[];
}

/** The field that decides between images and texts. */
export const INPUTS = 'model.input.kind';

const images = (...fields: Field[]): Field[] => fields.map((field) => ({ when: [INPUTS, 'image'], ...field }));
const texts = (...fields: Field[]): Field[] => fields.map((field) => ({ when: [INPUTS, 'text'], ...field }));

/** Something that can be chosen by name, and what the form shows with it. */
interface Named {
  name: string;
  about: About;
}

/** The choices among `all`. */
const choices = (all: readonly Named[]): [string, string][] => all.flatMap(({ name, about }) => (about.choice === null ? [] : [[name, about.choice] as [string, string]]));

/** The fields of all that can be chosen at `path`. One that several have is shown with each of them. */
function ownFields(path: string, all: readonly Named[]): Field[] {
  const users = new Map<string, [field: FormField, ...names: string[]]>();
  for (const { name, about } of all) {
    for (const field of about.choice === null ? [] : about.fields) users.set(field.path, [...(users.get(field.path) ?? ([field] as const)), name]);
  }
  return [...users.values()].map(([field, ...names]) => ({ ...asField(field), when: [path, ...names] }));
}

function asField({ path, label, kind, value, images_only, texts, help, options, wide }: FormField): Field {
  return { path, label, kind, value, help, options, wide, ...(texts !== null && { texts }), ...(images_only && { and: [INPUTS, 'image'] as const }) };
}

const dialects: readonly Named[] = DIALECT_HELP.map(({ name, spokenBy, fields }) => ({ name, about: { choice: spokenBy, fields } }));
const searches = OPTIMIZERS.filter(({ domain }) => domain === IMAGE_GENERATORS[0].domain);
/** A task of texts gets these without naming them. */
const textDefaults: readonly Named[] = [TEXT_GENERATORS[0], ...OPTIMIZERS.filter(({ domain }) => domain === TEXT_GENERATORS[0].domain).slice(0, 1)];

/** All sections, with defaults for the built-in model and handwritten digits; for texts, for a sentence encoder and news. */
export const GROUPS: readonly Group[] = [
  {
    title: 'What it is for',
    fields: [
      { path: INPUTS, label: 'Data owners have', kind: 'choice', value: 'image', options: [['image', 'pictures'], ['text', 'texts']], wide: true },
      { path: 'name', label: 'Name', kind: 'text', value: 'Read handwritten digits', texts: 'Sort news by topic', help: 'The headline of the data owners’ page.', wide: true },
      {
        path: 'description', label: 'Description for data owners', kind: 'paragraph', wide: true, help: 'What this is for, in words that anyone understands.',
        value: 'A model that has only ever seen printed digits learns to read handwriting. Together, participants find a pattern that, laid over each picture, lets the model recognise what people write by hand.',
        texts: 'A model tells what a piece of news is about by comparing it with a sentence for each topic. Together, participants find a few words that make these sentences fit better.',
      },
      { path: 'data.labels', label: 'Labels', kind: 'list', value: '0, 1, 2, 3, 4, 5, 6, 7, 8, 9', texts: 'World, Sports, Business, Sci/Tech', help: 'Separated by commas or line breaks. For pictures, in the order of the model’s classes; for texts, as they appear in data owners’ files.', wide: true },
      ...texts(
        { path: 'text.words', label: 'A word for each label', kind: 'words', value: '', help: 'What the model scores, in the order of the labels. Leave it empty to use the labels themselves.', wide: true },
        { path: 'text.template', label: 'Sentence for a label', kind: 'text', value: 'This text is about {}.', help: 'The label’s word takes the place of {}. A sentence encoder needs this; leave it empty for a masked language model.', wide: true, and: ['model.dialect', ...dialectsThat((dialect) => dialect.takesTemplate)] },
        { path: 'text.input', label: 'What the model reads', kind: 'text', value: '', help: 'Leave it empty for the text alone. {text} stands for the text, {first} and {second} for a pair. A masked language model needs its mask: {text} It was <mask>.', wide: true },
      ),
    ],
  },
  {
    title: 'The model’s API',
    fields: [
      {
        path: 'model.dialect', label: 'It speaks', kind: 'choice', value: DIALECT_HELP[0].name, wide: true,
        options: choices(dialects),
      },
      { path: 'model.url', label: 'Address', kind: 'text', value: 'http://127.0.0.1:8701', help: 'Data owners’ browsers must be able to reach it, and it must allow this page to call it (CORS). For OpenAI’s form, include the /v1. For a model in the browser, the folder that holds its file.', wide: true },
      ...ownFields('model.dialect', dialects),
      { path: 'form.price', label: 'Calls cost money', kind: 'flag', value: 'false', formOnly: true, help: 'Each browser counts and shows what its owner spends, and stops at the limit.', wide: true },
      { path: 'model.price.currency', label: 'Currency', kind: 'text', value: 'USD', when: ['form.price', 'true'] },
      { path: 'model.price.budget', label: 'One participant spends at most', kind: 'number', value: '1', when: ['form.price', 'true'] },
      { path: 'model.price.per_call', label: 'Price of a call', kind: 'number', value: '0', when: ['form.price', 'true'] },
      { path: 'model.price.per_million_input_tokens', label: 'Price of a million tokens sent', kind: 'number', value: '0', when: ['form.price', 'true'] },
      { path: 'model.price.per_million_output_tokens', label: 'Price of a million tokens received', kind: 'number', value: '0', when: ['form.price', 'true'] },
      { path: 'model.name', label: 'Model name', kind: 'text', value: 'printed-digits', texts: 'minilm' },
      ...images(
        { path: 'model.output.classes', label: 'Number of classes', kind: 'whole', value: '10' },
        { path: 'model.input.height', label: 'Input height, pixels', kind: 'whole', value: '32' },
        { path: 'model.input.width', label: 'Input width, pixels', kind: 'whole', value: '32' },
      ),
    ],
  },
  {
    title: 'The prompt',
    fields: texts(
      ...textDefaults.flatMap(({ about }) => about.fields.map(asField)),
    ),
  },
  {
    title: 'Rounds',
    fields: [
      { path: 'federation.rounds', label: 'Rounds', kind: 'whole', value: '100', texts: '20' },
      { path: 'federation.open.count_min', label: 'Participants at least', kind: 'whole', value: '3', help: 'A round waits until this many participants have an update ready. The fewer they are, the more a sum says about each of them.', when: ['form.secure', 'false'] },
      { path: 'federation.upload.count_min', label: 'Updates at least', kind: 'whole', value: '2', help: 'If fewer arrive in time, the round is given up. Cannot exceed the number of participants.', when: ['form.secure', 'false'] },
      { path: 'federation.query_budget', label: 'Queries per participant at most', kind: 'whole', value: '0', help: '0 means no limit. If this does not cover all rounds, there are only as many rounds as it covers.' },
      { path: 'federation.active', label: 'Participants selected to train in a round', kind: 'whole', value: '0', help: '0 means all of them. A participant who is not selected asks the model nothing in that round.' },
      { path: 'federation.patience', label: 'End after this many rounds without progress', kind: 'whole', value: '0', help: '0 means that all rounds are run.' },
    ],
  },
  {
    title: 'What you can see',
    fields: [
      { path: 'form.secure', label: 'Secure sums: only sums, no single update', kind: 'flag', value: 'true', formOnly: true, off: 'federation.secure_sum', help: 'Updates are hidden under masks that cancel out in the sum. Each round takes some seconds longer, and is given up if too many participants leave during it.', wide: true },
      { path: 'federation.secure_sum.cohort_min', label: 'People in a sum at least', kind: 'whole', value: '3', help: 'No sum begins with fewer people, and it is opened only if more than two thirds of them are still there. Ten people hide each one much better than three.', when: ['form.secure', 'true'] },
      { path: 'federation.clip', label: 'Longest update (L2)', kind: 'number', value: '10', help: 'A longer update is shortened. With noise, a smaller bound needs less of it.', when: ['form.secure', 'true'] },
      { path: 'form.privacy', label: 'Differential privacy: noise in the sums', kind: 'flag', value: 'false', formOnly: true, help: 'Limits what sums tell about one participant. Needs many participants: with only a few, the noise drowns out what they learn.', when: ['form.secure', 'true'], wide: true },
      { path: 'federation.privacy.epsilon', label: 'ε at most', kind: 'number', value: '8', help: '1 is strong, 8 is weak. A round that would exceed it does not begin.', when: ['form.privacy', 'true'] },
      { path: 'federation.privacy.delta', label: 'δ', kind: 'number', value: '0.00001', help: 'Well below 1 divided by the number of participants.', when: ['form.privacy', 'true'] },
    ],
  },
  {
    title: 'The model’s input and output',
    more: true,
    fields: [
      ...images(
        { path: 'model.input.encoding', label: 'Pictures go as', kind: 'choice', value: 'png', options: [['png', 'PNG: lossless'], ['jpeg', 'JPEG: smaller, but the model sees slightly different pixels'], ['webp', 'WebP: lossless']], and: ['model.dialect', ...dialectsThat((dialect) => dialect.sends === 'files')] },
        { path: 'model.input.name', label: 'Input tensor', kind: 'text', value: 'image' },
        { path: 'model.input.datatype', label: 'Its numbers', kind: 'choice', value: 'UINT8', options: [['UINT8', 'bytes, 0 to 255'], ['FP32', 'floating point']] },
        { path: 'model.input.layout', label: 'Its layout', kind: 'choice', value: 'nchw', options: [['nchw', 'channels, height, width'], ['nhwc', 'height, width, channels']] },
        { path: 'model.input.low', label: 'Number for black', kind: 'number', value: '0', when: ['model.input.datatype', 'FP32'] },
        { path: 'model.input.high', label: 'Number for white', kind: 'number', value: '1', when: ['model.input.datatype', 'FP32'] },
      ),
      { path: 'model.output.name', label: 'Output tensor', kind: 'text', value: 'logits' },
      { path: 'model.output.kind', label: 'It holds', kind: 'choice', value: 'logits', options: [['logits', 'logits'], ['probabilities', 'probabilities']] },
      ...images({ path: 'mapping.kind', label: 'Labels are', kind: 'choice', value: 'identity', options: [['identity', 'the model’s classes, in order'], ['frequency', 'learnt: the classes that answer most often']] }),
    ],
  },
  {
    title: 'Data owners’ data',
    more: true,
    fields: [
      ...images(
        { path: 'data.inner', label: 'Size inside the input', kind: 'size', value: '32×32', help: 'Height×width of the area that the picture fills; the rest is background.' },
        { path: 'data.background', label: 'Background, 0 (black) to 255', kind: 'whole', value: '0' },
      ),
      { path: 'data.holdout', label: 'Share of examples kept aside to measure', kind: 'number', value: '0.2', help: '0 to 0.9' },
      ...images(
        { path: 'data.invert', label: 'Swap light and dark', kind: 'flag', value: 'false' },
        { path: 'data.keep_aspect', label: 'Keep proportions', kind: 'flag', value: 'true' },
      ),
    ],
  },
  {
    title: 'Search',
    more: true,
    fields: [
      ...images(
        { path: 'generator.kind', label: 'Pattern', kind: 'choice', value: IMAGE_GENERATORS[0].name, options: choices(IMAGE_GENERATORS) },
        ...ownFields('generator.kind', IMAGE_GENERATORS),
        { path: 'optimizer.kind', label: 'Search', kind: 'choice', value: '', options: [['', 'whichever suits the pattern'], ...choices(searches)] },
        ...ownFields('optimizer.kind', searches),
      ),
      { path: 'federation.local_steps', label: 'Steps in a round', kind: 'whole', value: '5' },
      { path: 'federation.batch', label: 'Pictures or texts in a step', kind: 'whole', value: '16' },
      { path: 'federation.server.kind', label: 'Updates are combined by', kind: 'choice', value: 'adam', texts: 'sgd', options: [['adam', 'their mean through Adam'], ['momentum', 'their mean with momentum'], ['sgd', 'their mean']] },
      { path: 'federation.server.learning_rate', label: 'Its learning rate', kind: 'number', value: '0.04', texts: '', help: 'Leave it empty for the default.' },
      { path: 'seed', label: 'Seed', kind: 'whole', value: '0' },
    ],
  },
  {
    title: 'Protection against bad updates',
    more: true,
    fields: [
      { path: 'federation.secure_sum.groups', label: 'Groups', kind: 'whole', value: '1', help: 'Each group is summed by itself, so that a bad one can be outvoted; you see each group’s sum. A group has at least three people. With noise there must be one group.', when: ['form.secure', 'true'] },
      { path: 'federation.combine', label: 'Combined by', kind: 'choice', value: 'mean', options: [['mean', 'the mean'], ['median', 'the median'], ['trimmed-mean', 'the mean without the extremes']], help: 'Applied to the groups; without secure sums, to the participants.' },
      { path: 'federation.trim', label: 'Left out at each end', kind: 'number', value: '0.2', help: '0 to 0.49', when: ['federation.combine', 'trimmed-mean'] },
    ],
  },
  {
    title: 'Waiting',
    more: true,
    fields: [
      { path: 'federation.open.time_min_ms', label: 'Wait for more participants (ms)', kind: 'whole', value: '1500' },
      { path: 'federation.open.time_max_ms', label: '… but no longer than (ms)', kind: 'whole', value: '120000' },
      { path: 'federation.upload.time_min_ms', label: 'Wait for all updates (ms)', kind: 'whole', value: '8000', when: ['form.secure', 'false'] },
      { path: 'federation.upload.time_max_ms', label: '… but no longer than (ms)', kind: 'whole', value: '20000', when: ['form.secure', 'false'] },
      { path: 'federation.lease_seconds', label: 'Drop participants after (seconds without contact)', kind: 'whole', value: '120', help: 'Tabs in the background report about once a minute.' },
    ],
  },
];

/** All fields, by path. */
export const FIELDS: ReadonlyMap<string, Field> = new Map(GROUPS.flatMap((group) => group.fields.map((field) => [field.path, field] as const)));
