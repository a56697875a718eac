// A VM as one starts it without vmsecretd: from a shell, with its OEM strings on the command line.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { buildCommandLine } from '../src/hypervisor/cloud-hypervisor/to-command.js';
import { quoteCommand } from '../src/system/quote-command.js';
import type { Vmm } from '../test/integration/vmm.js';

export interface SealedSecret {
  name: string;
  /** The age file. */
  path: string;
  value: string;
}

const PREFIX = 'io.systemd.credential.binary:';

/** The words of a shell that becomes the VMM. */
export function bareCommand(vmm: Vmm, kernel: string, secrets: readonly SealedSecret[]): string {
  const strings = secrets.map(
    ({ name, value }) => `${PREFIX}${name}=${Buffer.from(value).toString('base64')}`,
  );
  return `exec ${quoteCommand(withOemStrings(vmm, kernel, strings))}`;
}

/** As bareCommand, and the shell opens the secrets itself, one run of age each: what a script would do. */
export function decryptingCommand(
  vmm: Vmm,
  kernel: string,
  secrets: readonly SealedSecret[],
  identity: string,
): string {
  const opened = secrets.map(
    ({ path }, index) => `S${index}="$(age -d -i '${identity}' '${path}' | base64 -w0)" || exit 1`,
  );
  const strings = secrets.map(({ name }, index) => `${PREFIX}${name}=$S${index}`);
  const words = withOemStrings(vmm, kernel, strings).map(word => `"${word}"`);
  return [...opened, `exec ${words.join(' ')}`].join('\n');
}

function withOemStrings(vmm: Vmm, kernel: string, strings: readonly string[]): string[] {
  if (vmm.hypervisor === 'cloud-hypervisor')
    return ['cloud-hypervisor', ...buildCommandLine(vmm.command(kernel), strings)];
  const options = strings.flatMap(value => ['-smbios', `type=11,value=${value}`]);
  return ['qemu-system-x86_64', ...vmm.command(kernel), '-serial', 'stdio', '-display', 'none', ...options];
}

export class BareVm {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves at the guest's first byte. */
  static async start(command: string): Promise<BareVm> {
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] });
    const vm = new BareVm(child);
    const ended = once(child, 'exit').then(([status]) => {
      throw new Error(`a bare VM ended with ${status} before its guest said anything`);
    });
    await Promise.race([once(child.stdout, 'data'), ended]);
    ended.catch(() => {});
    return vm;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
