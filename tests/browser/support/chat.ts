/** A model API in OpenAI's form, with a key: it answers every picture with the same likelihoods, and notes what it was asked. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export const KEY = 'sk-of-the-browser-tests-7f3a';

export class ChatModel {
  /** Whether each request carried the key. */
  readonly authorised: boolean[] = [];
  readonly bodies: { messages: unknown; top_logprobs: number }[] = [];

  private constructor(private readonly server: Server) {
    server.on('request', (request, response) => {
      const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization, content-type, accept' };
      if (request.method === 'OPTIONS') {
        response.writeHead(204, cors).end();
        return;
      }
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const allowed = request.headers.authorization === `Bearer ${KEY}`;
        this.authorised.push(allowed);
        const answer = allowed ? this.answer(request.url ?? '', Buffer.concat(parts)) : { error: { message: 'Incorrect API key', code: 'invalid_api_key' } };
        response.writeHead(allowed ? 200 : 401, { ...cors, 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
  }

  private answer(url: string, body: Buffer): unknown {
    if (url === '/v1/models') return { data: [{ id: 'sees' }] };
    this.bodies.push(JSON.parse(body.toString()));
    const top = [...'0123456789'].map((digit) => ({ token: digit, logprob: Math.log(digit === '3' ? 0.55 : 0.05), bytes: null }));
    return {
      choices: [{ index: 0, message: { role: 'assistant', content: '3' }, logprobs: { content: [{ token: '3', logprob: Math.log(0.55), top_logprobs: top }] } }],
      usage: { prompt_tokens: 100, completion_tokens: 1 },
    };
  }

  static async open(): Promise<ChatModel> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ChatModel(server);
  }

  /** With its version, as the task names it. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
