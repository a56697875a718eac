// One deliverer as the daemon has it: its process, and the questions that wait for its answers.
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { VmsecretdError } from '../errors.js';
import type { Destination, VmmApi } from '../hypervisor/hypervisor.js';
import type { NamedSource } from '../secrets/source.js';
import { runAs } from '../system/run-as.js';
import type { DelivererRequest, DelivererResult, Packaging, Preparation, Serving } from './protocol.js';
import { isDelivererMessage } from './protocol-checks.js';

const DELIVERER_PROGRAM = fileURLToPath(new URL('./run-deliverer.js', import.meta.url));

/** Starts that overlap without end would keep one deliverer, and its memory, for ever. */
const MAXIMUM_STARTS_PER_DELIVERER = 64;

export interface DeliverersOptions {
  /** What the deliverer's own children (age plugins) find programs by. */
  path: string;
  /** The file of the key of digests. Deliverers make and read it: this process does not know what is in it. */
  digestKeyPath: string;
  /** Without a warm one ahead of time, which takes memory; unless said otherwise there is one. */
  keepsSpare?: boolean;
}

export type Question =
  | { verb: 'prepare' | 'check' | 'open'; preparation: Preparation }
  | { verb: 'serve'; serving: Serving }
  | { verb: 'pack'; packaging: Packaging }
  | { verb: 'deliver'; destination: Destination }
  | { verb: 'state'; api: VmmApi }
  | { verb: 'digest'; sources: NamedSource[] };

interface Claim {
  readonly id: number;
  /** @param socket goes along, and is closed here */
  request(question: Question, signal: AbortSignal, socket?: Socket): Promise<DelivererResult>;
  release(): void;
}

interface Waiting {
  resolve(result: DelivererResult): void;
  reject(error: unknown): void;
}

export class DelivererProcess {
  readonly #child;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #gone = false;
  /** Somebody waited for it no longer: a file that answers nothing may hold all its threads. */
  #wasLeft = false;
  claims = 0;

  constructor(options: DeliverersOptions) {
    this.#child = forkDeliverer(options);
    this.#child.on('message', message => this.#receive(message));
    void this.#child.then(() => this.#end());
    this.#send({ id: 0, verb: 'begin', digestKeyPath: options.digestKeyPath });
  }

  get takesMore(): boolean {
    return !this.#gone && !this.#wasLeft && this.#nextId <= MAXIMUM_STARTS_PER_DELIVERER;
  }

  claim(): Claim {
    const id = this.#nextId;
    this.#nextId += 1;
    this.claims += 1;
    let released = false;
    return {
      id,
      request: (request, signal, socket) => this.#request({ ...request, id }, signal, socket),
      release: () => {
        if (released) return;
        released = true;
        this.claims -= 1;
        if (!this.#gone && this.claims > 0) this.#send({ id, verb: 'forget' });
      },
    };
  }

  kill(): void {
    this.#gone = true;
    this.#child.kill('SIGKILL');
  }

  #request(request: DelivererRequest, signal: AbortSignal, socket?: Socket): Promise<DelivererResult> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#gone) return reject(delivererGone());
      const abort = () => {
        this.#wasLeft = true;
        this.#waiting.delete(request.id);
        reject(signal.reason);
      };
      const settled = () => {
        this.#waiting.delete(request.id);
        signal.removeEventListener('abort', abort);
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.set(request.id, {
        resolve: result => {
          settled();
          resolve(result);
        },
        reject: error => {
          settled();
          reject(error);
        },
      });
      this.#send(request, socket);
    });
  }

  #send(request: DelivererRequest, socket?: Socket): void {
    // A child that is gone answers through #end().
    this.#child.send(request, socket, () => {});
  }

  #receive(message: unknown): void {
    if (!isDelivererMessage(message)) {
      this.kill();
      this.#failAll(delivererOfAnotherVersion());
      return;
    }
    if ('ready' in message) return;
    const waiting = this.#waiting.get(message.id);
    if (message.ok) waiting?.resolve(message.result);
    else waiting?.reject(new VmsecretdError(message.code, message.message, message));
  }

  #end(): void {
    this.#gone = true;
    this.#failAll(delivererGone());
  }

  #failAll(error: VmsecretdError): void {
    for (const waiting of [...this.#waiting.values()]) waiting.reject(error);
  }
}

/** @throws VmsecretdError resource_conflict: execa throws a bare TypeError where there are no descriptors left */
function forkDeliverer({ path }: DeliverersOptions) {
  try {
    const [program, ...args] = runAs(undefined, [process.execPath, DELIVERER_PROGRAM], { diesWithUs: true });
    // No NODE_OPTIONS, no NOTIFY_SOCKET: nothing of our environment but the way to programs.
    return execa(program, args, {
      ipc: true,
      serialization: 'json',
      extendEnv: false,
      env: { PATH: path },
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'ignore',
      // The kernel ends it with us.
      cleanup: false,
      buffer: false,
      reject: false,
    });
  } catch (cause) {
    throw new VmsecretdError(
      'resource_conflict',
      'the deliverer process cannot be started: vmsecretd has as many files open as it may; raise LimitNOFILE= of its unit',
      { cause },
    );
  }
}

function delivererOfAnotherVersion(): VmsecretdError {
  return new VmsecretdError(
    'internal',
    'the deliverer process is of another version than the daemon: vmsecretd was upgraded and not restarted; systemctl restart vmsecretd',
  );
}

export function delivererGone(): VmsecretdError {
  return new VmsecretdError('internal', 'the deliverer process ended before it answered; start the VM again');
}
