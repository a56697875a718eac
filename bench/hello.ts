// A process of hello-server.ts.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('./hello-server.js', import.meta.url));

export class Hello {
  readonly socketPath: string;
  readonly #child: ChildProcess;

  private constructor(socketPath: string, child: ChildProcess) {
    this.socketPath = socketPath;
    this.#child = child;
  }

  /** Resolves once it listens. */
  static async start(socketPath: string): Promise<Hello> {
    rmSync(socketPath, { force: true });
    const child = fork(PROGRAM, [socketPath], { execArgv: [] });
    await once(child, 'message');
    return new Hello(socketPath, child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
