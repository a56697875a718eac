// The real vmsecretd process on sockets in a temporary folder, and everything a test asks of it.
// Whoever starts one closes it: nothing that it started outlives `close`.
import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import type { VmView } from '../../src/vm/vm.js';
import { spawnNode } from '../setup/spawn-node.js';
import { type Answer, callUnix, openUnix } from './unix-api.js';

export const TIMEOUT_MS = 30_000;

const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));
export const CTL = fileURLToPath(new URL('../../src/cli/vmsecretctl.js', import.meta.url));

export type SocketName = 'admin' | 'vmsecretd';

export interface DaemonOptions {
  /** More of config.json. */
  config?: Readonly<Record<string, unknown>>;
  environment?: Readonly<Record<string, string>>;
  /** For every call and wait, where VMs have slow guests. */
  timeoutMs?: number;
  /** The daemon's program; the compiled sources unless given. */
  program?: string;
}

/** A log record or an event. */
export type Told = Record<string, unknown>;

export interface CtlResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

export class TestDaemon {
  readonly folder = mkdtempSync(join(tmpdir(), 'vmsd-'));
  readonly runtime = join(this.folder, 'run');
  readonly state = join(this.folder, 'state');
  readonly definitions = join(this.folder, 'vms');
  readonly secrets = join(this.folder, 'secrets');
  readonly log: Told[] = [];
  readonly events: Told[] = [];
  /** Everything that the daemon and vmsecretctl said, but for consoles: a guest may print its secrets there. */
  readonly said: Buffer[] = [];
  /** What must happen before the folder can be removed: an unmount, say. */
  readonly beforeRemoval: (() => void)[] = [];
  readonly #options: DaemonOptions;
  readonly #timeoutMs: number;
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #onSigterm = () => {
    this.#child?.kill('SIGKILL');
    this.#remove();
    process.exit(143);
  };
  #recipient = '';
  #child: ChildProcess | undefined;

  private constructor(options: DaemonOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    // A file past tap's deadline is ended by SIGTERM; VMMs in sessions of their own would live on.
    process.once('SIGTERM', this.#onSigterm);
  }

  static async start(options: DaemonOptions = {}): Promise<TestDaemon> {
    const daemon = new TestDaemon(options);
    for (const folder of [daemon.definitions, daemon.secrets]) mkdirSync(folder);
    const identity = await generateIdentity();
    daemon.#recipient = await identityToRecipient(identity);
    const identityPath = join(daemon.folder, 'identity.txt');
    writeFileSync(identityPath, `${identity}\n`, { mode: 0o600 });
    writeFileSync(
      join(daemon.folder, 'config.json'),
      JSON.stringify({ identities: [identityPath], ...options.config }),
    );
    await daemon.restart();
    return daemon;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the daemon (again), on the folders it had. */
  async restart(): Promise<void> {
    const args = [
      ...['--config', join(this.folder, 'config.json'), '--definitions', this.definitions],
      ...['--runtime-directory', this.runtime, '--state-directory', this.state],
    ];
    const env = { PATH: process.env.PATH, HOME: this.folder, ...this.#options.environment };
    const child = spawnNode([this.#options.program ?? DAEMON, ...args], { env });
    this.#child = child;
    const firstRecord = this.log.length;
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
      this.said.push(Buffer.from(text));
    });
    createInterface({ input: child.stdout }).on('line', line => {
      this.said.push(Buffer.from(line));
      this.log.push(JSON.parse(line));
      this.#changes.emit('change');
    });
    child.once('exit', () => this.#changes.emit('change'));
    await this.until('the daemon is ready', () => {
      if (!this.isRunning) throw new Error(`the daemon exited with ${child.exitCode}: ${errors}`);
      // A VM's events have the same word, and no folders.
      return this.log.slice(firstRecord).some(record => record.msg === 'listening');
    });
    await this.#followEvents();
  }

  async call(method: string, path: string, body?: unknown, socket: SocketName = 'admin'): Promise<Answer> {
    const answer = await callUnix({
      socketPath: this.socket(socket),
      method,
      path,
      body,
      timeoutMs: this.#timeoutMs,
    });
    if (!path.includes('/console')) this.said.push(withoutConsole(answer));
    return answer;
  }

  socket(name: SocketName): string {
    return join(this.runtime, `${name}.sock`);
  }

  async show(name: string): Promise<VmView> {
    return (await this.call('GET', `/v1/vms/${name}`)).json as VmView;
  }

  /** PUTs a definition, which must be taken. */
  async define(name: string, definition: unknown): Promise<void> {
    const answer = await this.call('PUT', `/v1/vms/${name}`, definition);
    if (answer.status >= 300) throw new Error(`PUT ${name}: ${answer.body}`);
  }

  /** POSTs a verb, which must succeed. */
  async act(name: string, verb: string): Promise<VmView> {
    const answer = await this.call('POST', `/v1/vms/${name}/${verb}`);
    if (answer.status !== 200)
      throw new Error(`${verb} ${name}: ${answer.body}\n${JSON.stringify(this.log)}`);
    return answer.json as VmView;
  }

  /** Writes an age file that this daemon opens. @returns its path */
  async seal(name: string, value: string | Buffer): Promise<string> {
    const path = join(this.secrets, `${name}.age`);
    const encrypter = new Encrypter();
    encrypter.addRecipient(this.#recipient);
    writeFileSync(path, await encrypter.encrypt(value));
    return path;
  }

  async ctl(...args: string[]): Promise<CtlResult> {
    const child = spawnNode([CTL, ...args], {
      env: { PATH: process.env.PATH, VMSECRETD_SOCKET: this.socket('admin') },
      timeout: this.#timeoutMs,
    });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        output[stream] += text;
      });
    }
    const [status] = await once(child, 'close');
    if (args[0] !== 'console' && args[0] !== 'logs')
      this.said.push(Buffer.from(output.stdout), Buffer.from(output.stderr));
    return { status, ...output };
  }

  /** Looks again at every event and log record. @returns the first truthy look; throws at the deadline */
  async until<Result>(what: string, look: () => Promise<Result> | Result): Promise<NonNullable<Result>> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#timeoutMs);
    try {
      for (;;) {
        const change = once(this.#changes, 'change', { signal: late.signal }).catch(() => {});
        const found = await look();
        if (found) return found;
        await change;
        if (!late.signal.aborted) continue;
        const told = JSON.stringify(this.log.slice(-8));
        throw new Error(`not so after ${this.#timeoutMs} ms: ${what}. Last told: ${told}`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  untilVm(name: string, what: string, look: (vm: VmView) => boolean): Promise<VmView> {
    return this.until(`VM ${name} ${what}`, async () => {
      const vm = await this.show(name);
      return look(vm) ? vm : undefined;
    });
  }

  /** Follows the console to a text. @returns all of it */
  async untilConsole(name: string, text: string | RegExp): Promise<string> {
    const isThere = (seen: string) => (typeof text === 'string' ? seen.includes(text) : text.test(seen));
    const response = await openUnix({
      socketPath: this.socket('vmsecretd'),
      method: 'GET',
      path: `/v1/vms/${name}/console?follow=true`,
      timeoutMs: this.#timeoutMs,
    });
    let seen = '';
    try {
      for await (const chunk of response.setEncoding('latin1')) {
        seen += chunk;
        if (isThere(seen)) return seen;
      }
      throw new Error(`the console of ${name} ended without ${text}: ${seen}`);
    } finally {
      response.destroy();
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** SIGKILL, as the OOM killer would. */
  kill9(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** SIGTERM: VMs live on. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  /** Processes with our folder on their command line, the daemon aside: its VMMs. */
  vmms(): number[] {
    // A child of the daemon has its command line until it executes its own.
    const own = commandLine(this.pid);
    return readdirSync('/proc')
      .map(Number)
      .filter(pid => {
        const line = Number.isInteger(pid) && pid !== this.pid ? commandLine(pid) : '';
        return line !== own && line.includes(this.folder);
      });
  }

  /** Ends all VMs with the daemon's own means. */
  async killVms(): Promise<void> {
    const { vms } = (await this.call('GET', '/v1/vms')).json as { vms: VmView[] };
    await Promise.all(vms.map(vm => this.call('POST', `/v1/vms/${vm.name}/kill`)));
  }

  async close(): Promise<void> {
    if (this.isRunning) await this.killVms().catch(() => {});
    await this.#end('SIGKILL');
    process.off('SIGTERM', this.#onSigterm);
    this.#remove();
  }

  #remove(): void {
    for (const pid of this.vmms()) process.kill(pid, 'SIGKILL');
    for (const prepare of this.beforeRemoval) prepare();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  async #followEvents(): Promise<void> {
    const response = await openUnix({
      socketPath: this.socket('vmsecretd'),
      method: 'GET',
      path: '/v1/events',
      timeoutMs: this.#timeoutMs,
    });
    let type = '';
    const lines = createInterface({ input: response });
    lines.on('line', line => {
      this.said.push(Buffer.from(line));
      if (line.startsWith('event: ')) type = line.slice(7);
      if (!line.startsWith('data: ')) return;
      this.events.push({ type, ...JSON.parse(line.slice(6)) });
      this.#changes.emit('change');
    });
    // It ends with the daemon.
    response.on('error', () => {});
    lines.on('error', () => {});
    await once(lines, 'line');
  }
}

/** Whoever waited in vain is told the console's last lines. */
function withoutConsole({ body, json }: Answer): Buffer {
  const isProblem = typeof json === 'object' && json !== null && 'console' in json;
  return isProblem ? Buffer.from(JSON.stringify({ ...json, console: undefined })) : body;
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
