// vmsecretctl while it runs: on a terminal or with pipes, typed into, and read as it prints.
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { whyNotOnPath } from '../setup/programs.js';
import { AS_USERS_DO } from '../setup/spawn-node.js';
import { CTL, type SocketName, type TestDaemon, TIMEOUT_MS } from './daemon.js';

/** Why there is no terminal to be had here. */
export const NO_TERMINAL = whyNotOnPath('script');

export interface RunningCtlOptions {
  terminal: boolean;
  socket?: SocketName;
  environment?: Readonly<Record<string, string>> | undefined;
}

export class RunningCtl {
  readonly #child: ChildProcess;
  readonly #changes = new EventEmitter();
  readonly #ended: Promise<number | null>;
  /** Standard output and error as they came. */
  printed = '';

  /** @param words its arguments, none of which needs quoting */
  constructor(daemon: TestDaemon, words: readonly string[], options: RunningCtlOptions) {
    const { terminal, socket = 'admin', environment } = options;
    const command = [...AS_USERS_DO, process.execPath, CTL, ...words];
    // script gives its child a terminal, and passes on what it prints, what is typed and its exit status.
    const [program = '', ...args] = terminal
      ? ['script', '--quiet', '--return', '--command', command.join(' '), '/dev/null']
      : command;
    this.#child = spawn(program, args, {
      env: {
        PATH: process.env.PATH,
        SHELL: '/bin/sh',
        VMSECRETD_SOCKET: daemon.socket(socket),
        ...environment,
      },
      timeout: TIMEOUT_MS,
    });
    this.#ended = once(this.#child, 'close').then(([status]) => status);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('latin1').on('data', (text: string) => {
        this.printed += text;
        this.#changes.emit('change');
      });
    }
  }

  async untilPrinted(text: string | RegExp): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const isThere = () => (typeof text === 'string' ? this.printed.includes(text) : text.test(this.printed));
    while (!isThere()) {
      await once(this.#changes, 'change', { signal }).catch(() => {
        throw new Error(
          `it has not printed ${JSON.stringify(String(text))} but ${JSON.stringify(this.printed)}`,
        );
      });
    }
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** As a client that is killed. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** @returns its exit status */
  get ended(): Promise<number | null> {
    return this.#ended;
  }
}
