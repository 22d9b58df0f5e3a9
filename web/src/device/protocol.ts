/** What the training Worker and the Workers that run a model on this device say to each other. */

/** A file of the model: checked by its hash in the Worker that loads it. */
export interface ModelFile {
  path: string;
  /** Below the model's address. */
  address: string;
  sha256: string;
}

/** What the wasm client made of the task: `model_client::on_device::OnDevice`, and where the files stand. */
export interface DeviceModel {
  url: string;
  model: { name: string; files: ModelFile[] };
}

/** What the wasm client made of a task whose prompts are sent as embeddings: `model_client::prompt_embeds::PromptEmbeds`. */
export interface EmbeddingsModel {
  wanted: { url: string; files: ModelFile[] };
  /** Numbers in a token of its soft prompts. */
  hidden: number;
}

export interface Request {
  path: string;
  headerLength: string | undefined;
  body: Uint8Array<ArrayBuffer>;
}

/** What a model API would answer. */
export interface Answer {
  status: number;
  /** Name, value, name, value. */
  headers: string[];
  body: Uint8Array;
}

export type ToDevice =
  /** First message: `model` as JSON, and its files in order. */
  | { type: 'load'; model: string; files: Blob[] }
  | { type: 'ask'; request: Request };

export type FromDevice =
  | { type: 'loaded'; milliseconds: number }
  /** `code`: `model_hash`, `model_unusable`, `model_missing`, `model_memory`, or `model_failed`. */
  | { type: 'failed'; code: string; message: string }
  /** To the questions in the order in which they were asked. */
  | { type: 'answer'; answer: Answer };
