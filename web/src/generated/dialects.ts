// Written by `cargo xtask generate` from `shared/model-client/src/dialects/`. Do not edit.

/** A dialect: see `Entry` there. What people are told about it is in a file of its own, which few pages load. */
export interface Dialect {
  name: string;
  sends: 'tensors' | 'files';
  runsHere: boolean;
  /** Whether the label words go with each text; or: unless this setting of the model has this value. */
  labels: boolean | readonly [setting: string, value: string];
  takesTemplate: boolean;
}

/** The built-in dialects, the default first. */
export const DIALECTS: readonly [Dialect, ...Dialect[]] = [
  {"labels":true,"name":"open-inference","runsHere":false,"sends":"tensors","takesTemplate":true},
  {"labels":true,"name":"on-device","runsHere":true,"sends":"tensors","takesTemplate":true},
  {"labels":false,"name":"openai","runsHere":false,"sends":"files","takesTemplate":false},
  {"labels":["huggingface.task","text-classification"],"name":"huggingface","runsHere":false,"sends":"files","takesTemplate":true},
];
