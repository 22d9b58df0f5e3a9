/**
 * A model API in OpenAI's form that takes prompts as embeddings, as vLLM does, and has the files with which they are made: word
 * number i has the embedding (i, 1, 0, 0). A soft token makes "great" likelier by its third number.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { TEXT_MODEL } from './paths.ts';

export const HIDDEN = 4;
const WORDS = 2_000;

interface Asked {
  prompt?: string | string[];
  prompt_embeds?: string | string[];
}

export class CompletionModel {
  readonly asked: Asked[] = [];
  /** Files that were fetched. */
  readonly fetched: string[] = [];

  private constructor(
    private readonly server: Server,
    private readonly files: Record<string, Buffer>,
    private readonly takes: boolean,
  ) {
    server.on('request', (request, response) => {
      const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization, content-type, accept' };
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const url = request.url ?? '';
        if (request.method === 'OPTIONS') return void response.writeHead(204, cors).end();
        const file = this.files[url];
        if (file !== undefined) {
          this.fetched.push(url);
          return void response.writeHead(200, { ...cors, 'content-length': file.length }).end(file);
        }
        const [status, answer] = url.endsWith('/models') ? [200, { data: [{ id: 'tiny' }] }] : this.answer(JSON.parse(Buffer.concat(parts).toString()) as Asked);
        response.writeHead(status, { ...cors, 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
  }

  /** Without `takes` as vLLM is without its flag. */
  static async open(takes = true): Promise<CompletionModel> {
    const rows = Float32Array.from({ length: WORDS * HIDDEN }, (_, at) => [Math.floor(at / HIDDEN), 1, 0, 0][at % HIDDEN] ?? 0);
    const tensor = { dtype: 'F32', shape: [WORDS, HIDDEN], data_offsets: [0, rows.byteLength] };
    const head = Buffer.from(JSON.stringify({ 'model.embed_tokens.weight': tensor }).padEnd(128));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(head.length));
    const files = { '/files/tokenizer.json': await readFile(join(TEXT_MODEL, 'tokenizer.json')), '/files/embeddings.safetensors': Buffer.concat([length, head, Buffer.from(rows.buffer)]) };
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new CompletionModel(server, files, takes);
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** A task's `[model]`. */
  get table(): string {
    const hash = (name: string): string => createHash('sha256').update(this.files[name] ?? '').digest('hex');
    return `
[model]
dialect = "openai"
url = "${this.origin}/v1"
name = "tiny"
input = { kind = "text" }
[model.openai]
api = "completions"
[model.openai.prompt_embeds]
url = "${this.origin}/files"
tokenizer_sha256 = "${hash('/files/tokenizer.json')}"
table_sha256 = "${hash('/files/embeddings.safetensors')}"
[model.calls]
batch = 4
`;
  }

  /** The rows of each prompt that was sent as embeddings. */
  get prompts(): number[][][] {
    return this.asked.flatMap(({ prompt_embeds: sent }) => (sent === undefined ? [] : list(sent).map(rowsOf)));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(asked: Asked): [number, unknown] {
    this.asked.push(asked);
    if (asked.prompt_embeds !== undefined && !this.takes) return [400, { error: { message: 'You must set `--enable-prompt-embeds` to input `prompt_embeds`. (parameter=prompt_embeds)', param: 'prompt_embeds', code: 400 } }];
    const strengths = asked.prompt_embeds === undefined ? list(asked.prompt ?? '').map(() => 0) : list(asked.prompt_embeds).map((prompt) => softOf(rowsOf(prompt)).reduce((sum, row) => sum + (row[2] ?? 0), 0));
    const choices = strengths.map((more, index) => ({ index, text: 'x', logprobs: { top_logprobs: [{ ' great': -Math.log(1 + Math.exp(-more)), ' terrible': -Math.log(1 + Math.exp(more)) }] } }));
    return [200, { choices, usage: { prompt_tokens: 0, completion_tokens: 1 } }];
  }
}

function list(sent: string | string[]): string[] {
  return typeof sent === 'string' ? [sent] : sent;
}

/** The tensor of a file that torch has saved. */
function rowsOf(prompt: string): number[][] {
  const file = Buffer.from(prompt, 'base64');
  const begin = file.indexOf('data/0') + 6;
  const bytes = file.subarray(begin, file.indexOf('prompt/version') - 30);
  const numbers = new Float32Array(Uint8Array.from(bytes).buffer);
  return Array.from({ length: numbers.length / HIDDEN }, (_, row) => [...numbers.subarray(row * HIDDEN, (row + 1) * HIDDEN)]);
}

export function softOf(rows: number[][]): number[][] {
  return rows.filter((row) => row.slice(1).join() !== '1,0,0');
}
