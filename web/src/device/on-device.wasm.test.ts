/** The on-device module under Node: the answers that onnxruntime gives, as natively, and what it refuses. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { EmbeddingFiles, Files, initSync, Model } from '../../wasm-on-device/on_device.js';

const root = new URL('../../../', import.meta.url);
const modelApi = new URL('server/model-api/', root);
const read = async (path: string): Promise<Buffer> => readFile(new URL(path, modelApi));
const json = async <T>(path: string): Promise<T> => JSON.parse((await read(path)).toString()) as T;

beforeAll(async () => {
  initSync({ module: await readFile(new URL('web/wasm-on-device/on_device_bg.wasm', root)) });
});

/** Loads the files of a model; the first one is its network. */
async function load(name: string, takes: unknown, paths: Record<string, string>): Promise<Model> {
  const contents = await Promise.all(Object.values(paths).map(read));
  const files = Object.keys(paths).map((path, at) => ({ path, address: path, sha256: createHash('sha256').update(contents[at] ?? '').digest('hex') }));
  const model = new Files(JSON.stringify({ name, files, takes }));
  for (const [at, bytes] of contents.entries()) model.add(at, bytes);
  return model.load();
}

const IMAGES = { images: { layout: 'nchw', height: 32, width: 32, range: '0:1', output: 'logits' } };
const TEXTS = { texts: { output: null, max_tokens: null, temperature: 0.05 } };
const DIGITS = { 'digits.onnx': 'models/printed-digits/printed-digits.onnx' };

/** The scores that come behind the answer's JSON. */
function scores(model: Model, name: string, request: unknown, tensors: Uint8Array): number[] {
  const head = new TextEncoder().encode(JSON.stringify(request));
  const answer = model.answer(`/v2/models/${name}/infer`, String(head.length), Buffer.concat([head, tensors]));
  const body = answer.takeBody();
  expect(answer.status, new TextDecoder().decode(body)).toBe(200);
  const start = Number(answer.headers[answer.headers.indexOf('inference-header-content-length') + 1]);
  return [...new Float32Array(body.slice(start).buffer)];
}

function close(found: number[], wanted: number[], tolerance: number): void {
  expect(found).toHaveLength(wanted.length);
  for (const [at, value] of wanted.entries()) expect(Math.abs((found[at] ?? NaN) - value), `score ${at}`).toBeLessThanOrEqual(tolerance);
}

describe('pictures', () => {
  it('get the scores that onnxruntime gives', async () => {
    const { images, logits } = await json<{ images: string[]; logits: number[][] }>('tests/onnxruntime.json');
    const model = await load('digits.onnx', IMAGES, DIGITS);
    const pixels = Buffer.from(images.join(''), 'hex');
    const input = { name: 'image', datatype: 'UINT8', shape: [images.length, 3, 32, 32], parameters: { binary_data_size: pixels.length } };
    close(scores(model, 'digits.onnx', { inputs: [input], parameters: { binary_data_output: true } }, pixels), logits.flat(), 1e-4);
  });

  it('another file, another size and no model are told apart', async () => {
    const model = { name: 'digits.onnx', files: [{ path: 'digits.onnx', address: 'digits.onnx', sha256: '0'.repeat(64) }], takes: IMAGES };
    expect(() => new Files(JSON.stringify(model)).add(0, new Uint8Array([1, 2]))).toThrow(expect.objectContaining({ name: 'model_hash' }) as Error);
    expect(() => new Files(JSON.stringify(model)).load()).toThrow(expect.objectContaining({ name: 'model_missing' }) as Error);
    const small = { images: { ...IMAGES.images, height: 28, width: 28 } };
    await expect(load('digits.onnx', small, DIGITS)).rejects.toMatchObject({ name: 'model_unusable', message: expect.stringContaining('model.input.height') as string });
    await expect(load('digits.onnx', IMAGES, { 'digits.onnx': 'models/printed-digits/labels.txt' })).rejects.toMatchObject({ message: expect.stringContaining('no ONNX model') as string });
  });
});

describe('texts', () => {
  /** A `BYTES` tensor: each element its length in four bytes and its bytes. */
  const bytes = (elements: string[]): Buffer =>
    Buffer.concat(
      elements.flatMap((element) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(Buffer.byteLength(element));
        return [length, Buffer.from(element)];
      }),
    );

  function ask(model: Model, name: string, tensors: Record<string, string[]>): number[] {
    const raw = Object.entries(tensors).map(([key, elements]) => ({ key, count: elements.length, bytes: bytes(elements) }));
    const inputs = raw.map(({ key, count, bytes: { length } }) => ({ name: key, datatype: 'BYTES', shape: [count], parameters: { binary_data_size: length } }));
    return scores(model, name, { inputs, parameters: { binary_data_output: true } }, Buffer.concat(raw.map((one) => one.bytes)));
  }

  it('are tokenized and embedded as onnxruntime and the tokenizers of Hugging Face do', async () => {
    const { encoder } = await json<{ encoder: { texts: string[]; labels: string[]; templates: string[]; cosines: number[][][] } }>('tests/text/expected.json');
    const folder = ['onnx/model.onnx', 'config.json', 'tokenizer.json', '1_Pooling/config.json'];
    const model = await load('encoder', TEXTS, Object.fromEntries(folder.map((path) => [path, `tests/text/encoder/${path}`])));
    for (const [at, template] of encoder.templates.entries()) {
      const wanted = (encoder.cosines[at] ?? []).flat().map((cosine) => cosine / 0.05);
      close(ask(model, 'encoder', { text: encoder.texts, labels: encoder.labels, template: [template] }), wanted, 1e-3);
    }
  });

  it('with a mask get the logits of the label words', async () => {
    const { masked } = await json<{ masked: { texts: string[]; labels: string[]; logits: number[][] } }>('tests/text/expected.json');
    const folder = ['model.onnx', 'config.json', 'tokenizer.json', 'tokenizer_config.json'];
    const model = await load('masked', TEXTS, Object.fromEntries(folder.map((path) => [path, `tests/text/masked/${path}`])));
    close(ask(model, 'masked', { text: masked.texts, labels: masked.labels }), masked.logits.flat(), 1e-4);
  });
});

describe('embeddings', () => {
  const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

  /** A table of 2,000 rows, number i of them (i, −i). */
  function table(): Buffer {
    const rows = Float32Array.from({ length: 4_000 }, (_, at) => (at % 2 === 0 ? 1 : -1) * Math.floor(at / 2));
    const head = Buffer.from(JSON.stringify({ e: { dtype: 'F32', shape: [2_000, 2], data_offsets: [0, rows.byteLength] } }).padEnd(64));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(head.length));
    return Buffer.concat([length, head, Buffer.from(rows.buffer)]);
  }

  it('are the rows of a text with the prompt behind its first token', async () => {
    const contents = [await read('tests/text/encoder/tokenizer.json'), table()];
    const files = contents.map((bytes, at) => ({ path: `${at}`, address: `${at}`, sha256: hash(bytes) }));
    const load = (hidden: number) => {
      const fetching = new EmbeddingFiles(JSON.stringify({ wanted: { url: 'https://h', files, tensor: 'e' }, hidden }));
      for (const [at, bytes] of contents.entries()) fetching.add(at, bytes);
      return fetching.load();
    };
    const embeddings = load(2);
    const file = Buffer.from(embeddings.embed('', new Float32Array([0.5, 0.25])));
    const bytes = file.subarray(file.indexOf('data/0') + 6, file.indexOf('prompt/version') - 30);
    const numbers = [...new Float32Array(Uint8Array.from(bytes).buffer)];
    // [CLS] and [SEP] are the tokens 2 and 3.
    expect(numbers).toEqual([2, -2, 0.5, 0.25, 3, -3]);
    expect(() => embeddings.embed('', new Float32Array(1))).toThrow('no soft prompt');
    expect(() => load(3)).toThrow(expect.objectContaining({ name: 'model_unusable' }) as Error);
    const other = new EmbeddingFiles(JSON.stringify({ wanted: { url: 'https://h', files, tensor: 'e' }, hidden: 2 }));
    expect(() => other.add(0, new Uint8Array([1]))).toThrow(expect.objectContaining({ name: 'model_hash' }) as Error);
  });
});
