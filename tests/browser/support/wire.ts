/** A way to a server on which everything that is sent to it is noted, byte by byte. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Wire {
  private readonly pieces: Buffer[] = [];
  private readonly open = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    to: URL,
  ) {
    server.on('connection', (near) => {
      const far = connect(Number(to.port), to.hostname);
      near.on('data', (piece) => this.pieces.push(piece));
      near.pipe(far).pipe(near);
      for (const [end, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.open.add(end);
        // If one is reset, so is the other; the client sees a broken connection.
        end.on('error', () => other.destroy());
        end.on('close', () => this.open.delete(end));
      }
    });
  }

  static async to(url: string): Promise<Wire> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Wire(server, new URL(url));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** All that was sent so far. */
  get sent(): Buffer {
    return Buffer.concat(this.pieces);
  }

  async close(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
