/**
 * The tokenizer and the table of embeddings of a model behind an API that takes prompts as embeddings: fetched once, and used in
 * the training Worker itself, because looking up rows costs hardly any time.
 */
import init, { EmbeddingFiles, type Embeddings } from '../../wasm-on-device/on_device';
import type { Trouble } from '../worker/protocol';
import { ModelFiles, type Fetched } from './files';
import type { EmbeddingsModel } from './protocol';
import { codeOf, troubleOf, Unusable } from './trouble';

export class EmbeddingsHere {
  private readonly files: ModelFiles;
  private loading: Promise<void> | null = null;
  /** The person left: nothing is fetched or kept any more. */
  private readonly left = new AbortController();

  /** `use` gets the object that turns texts into embeddings. */
  constructor(
    private readonly model: EmbeddingsModel,
    private readonly use: (embeddings: Embeddings) => void,
    files?: ModelFiles,
  ) {
    this.files = files ?? new ModelFiles(model.wanted.url, model.wanted.files);
  }

  /** Fetches and loads the files unless that was done. Throws a `Trouble` if it fails; lesser problems are only reported. */
  async ready(progress: (done: number, total: number) => void, pity: (trouble: Trouble) => void): Promise<void> {
    this.loading ??= this.load(progress, pity).catch((error: unknown) => {
      this.loading = null;
      throw troubleOf(error, { url: this.model.wanted.url, name: 'behind the API (its tokenizer and table are needed here)', settings: '[model.openai.prompt_embeds]' });
    });
    return this.loading;
  }

  /** Deletes the files from the cache. */
  async forget(): Promise<void> {
    this.left.abort();
    await this.files.forget();
  }

  private async load(progress: (done: number, total: number) => void, pity: (trouble: Trouble) => void): Promise<void> {
    await this.files.into((files) => this.start(files), progress, pity, this.left.signal);
  }

  private async start(fetched: readonly Fetched[]): Promise<void> {
    await init();
    try {
      const files = new EmbeddingFiles(JSON.stringify(this.model));
      for (const [at, { blob }] of fetched.entries()) files.add(at, new Uint8Array(await blob.arrayBuffer()));
      this.use(files.load());
    } catch (error) {
      throw new Unusable(codeOf(error), error instanceof Error ? error.message : String(error));
    }
  }
}
