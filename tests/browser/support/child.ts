/** A server under test as a child process that says on standard output where it listens. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const START_MS = 60_000;
const STOP_MS = 10_000;
/** What is kept of standard error, for messages. */
const KEPT_LINES = 40;

export class Child {
  private constructor(
    private readonly process: ChildProcess,
    /** The address that it printed. */
    readonly url: string,
  ) {}

  /** Starts a program and resolves once a line of its output holds an http address. */
  static async start(program: string, args: string[], env: Record<string, string> = {}): Promise<Child> {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const errors: string[] = [];
    createInterface(child.stderr).on('line', (line) => {
      errors.push(line);
      if (errors.length > KEPT_LINES) errors.shift();
    });
    const url = await new Promise<string>((resolve, reject) => {
      const fail = (why: string): void => {
        child.kill('SIGKILL');
        reject(new Error(`${program} ${args.join(' ')}: ${why}\n${errors.join('\n')}`));
      };
      const timer = setTimeout(() => fail(`printed no address within ${START_MS / 1000} s`), START_MS);
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code, signal) => fail(`ended (${code ?? signal}) before it printed an address`));
      // Read to the end, or a full pipe would stop the server.
      createInterface(child.stdout).on('line', (line) => {
        const found = /https?:\/\/[^\s/]+/.exec(line)?.[0];
        if (found === undefined) return;
        clearTimeout(timer);
        child.removeAllListeners('exit');
        resolve(found);
      });
    });
    return new Child(child, url);
  }

  /** Ends it without a chance to save anything, as a power cut does. */
  async kill(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await ended;
  }

  /** Asks it to end in order, as Ctrl-C does; kills it if it does not. */
  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    this.process.kill('SIGINT');
    await ended;
    clearTimeout(timer);
  }
}
