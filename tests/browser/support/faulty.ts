/**
 * The real model API behind a server that can fail in a chosen way. Without a fault it passes everything on, so
 * that a fault can be cured and the same training goes on.
 */
import { createServer, request as send, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Fault = 'down' | 'no-cors' | '401' | '429' | '500' | 'html' | 'shape' | 'nan';

export class FaultyModel {
  fault: Fault | null = null;

  private constructor(
    private readonly server: Server,
    private readonly real: URL,
    private readonly port: number,
  ) {
    server.on('request', (request, response) => this.answer(request, response));
  }

  static async open(real: string): Promise<FaultyModel> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FaultyModel(server, new URL(real), (server.address() as AddressInfo).port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Takes a fault on, or with null goes back to work; `down` closes the port. */
  async set(fault: Fault | null): Promise<void> {
    if (fault === 'down') await this.close();
    else if (!this.server.listening) await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.fault = fault;
  }

  async close(): Promise<void> {
    if (!this.server.listening) return;
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const forwarded = send(
      { host: this.real.hostname, port: this.real.port, method: request.method, path: request.url, headers: { ...request.headers, host: this.real.host } },
      (real) => {
        const parts: Buffer[] = [];
        real.on('data', (part: Buffer) => parts.push(part));
        real.on('end', () => this.spoil(request, real, Buffer.concat(parts), response));
      },
    );
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  }

  /** Changes the real answer as the fault demands. Preflights pass, except where the fault is about them. */
  private spoil(request: IncomingMessage, real: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const headers = { ...real.headers };
    delete headers['transfer-encoding'];
    delete headers['content-length'];
    const plain = (status: number, type: string, text: string): void => {
      delete headers['inference-header-content-length'];
      response.writeHead(status, { ...headers, 'content-type': type }).end(text);
    };
    const infers = request.method === 'POST';
    if (this.fault === 'no-cors') {
      for (const name of Object.keys(headers)) if (name.startsWith('access-control-')) delete headers[name];
    } else if (request.method !== 'OPTIONS') {
      switch (this.fault) {
        case '401':
        case '429':
        case '500':
          return plain(Number(this.fault), 'application/json', '{"error":"as the test wants it"}');
        case 'html':
          return plain(200, 'text/html', '<!doctype html><title>Hotel WLAN</title><h1>Please log in</h1>');
        case 'shape':
          if (infers) return plain(200, 'application/json', JSON.stringify({ model_name: 'printed-digits', outputs: [{ name: 'logits', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }] }));
          break;
        case 'nan':
          if (infers) {
            // The numbers follow the JSON header.
            for (let at = Number(headers['inference-header-content-length'] ?? 0); at + 4 <= body.length; at += 4) body.writeFloatLE(NaN, at);
          }
          break;
        default:
      }
    }
    response.writeHead(real.statusCode ?? 502, headers).end(body);
  }
}
