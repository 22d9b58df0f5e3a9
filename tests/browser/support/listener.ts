/** A host that nothing should contact: it notes everything that arrives. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export class Listener {
  /** Paths of all requests that came. */
  readonly seen: string[] = [];

  private constructor(private readonly server: Server) {
    server.on('request', (request, response) => {
      this.seen.push(request.url ?? '');
      response.writeHead(200, { 'access-control-allow-origin': '*', 'content-type': 'text/javascript' }).end();
    });
    server.on('upgrade', (request, socket) => {
      this.seen.push(`upgrade ${request.url ?? ''}`);
      socket.destroy();
    });
  }

  static async open(): Promise<Listener> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Listener(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
