// Boots test guests with QEMU alone, without the daemon: credentials become SMBIOS strings in files of a private folder.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { computeReceiptDigest } from '../../../src/credentials/receipt-digest.js';
import {
  isReceiptComplete,
  parseReceipt,
  type ReceiptVerdict,
  verifyReceipt,
} from '../../../src/vm/receipt.js';
import { ByteSink } from './byte-sink.js';
import { type BootGuest, deliveredBytes, type GuestRequest } from './guest.js';
import { DONE_LINE, portableGuestFiles, testGuestFiles } from './guest-files.js';
import { GUEST_KERNEL_PARAMETERS, type GuestImage, writeInitramfs } from './guest-image.js';

export interface QemuOptions {
  readonly image: GuestImage;
  /** The project's `guest/` folder. */
  readonly guestFolder: string;
  /** Gives a new empty folder that the test removes; short, for the sockets in it. */
  readonly makeFolder: () => string;
  /** Until the guest's last line. Default 90 seconds: alone on two cores a guest takes 13. */
  readonly timeoutMs?: number;
}

export function createQemuBooter(options: QemuOptions): BootGuest {
  return async request => {
    const folder = options.makeFolder();
    const nonce = randomBytes(32);
    const credentials = deliverableValues(request);
    const strings = [
      ...(request.oemStrings ?? []),
      toOemString('vmsecretd.nonce', nonce),
      ...[...credentials].map(([name, value]) => toOemString(name, value)),
    ];
    await writeInitramfs(join(folder, 'initramfs'), options.image, {
      files: [...portableGuestFiles(options.guestFolder), ...testGuestFiles(), ...request.files],
      withKubectl: request.withKubernetes === true,
    });
    const console = await ByteSink.listen(join(folder, 'console.sock'));
    const report = await ByteSink.listen(join(folder, 'report.sock'));
    const qemu = startQemu([
      ...machineArguments(folder, options.image.kernel),
      ...smbiosArguments(folder, strings),
      ...(request.withKubernetes === true ? ['-nic', 'user,model=virtio-net-pci'] : []),
    ]);
    const deadline = AbortSignal.any([AbortSignal.timeout(options.timeoutMs ?? 90_000), qemu.ended]);
    try {
      const shown = await console.until(bytes => bytes.includes(DONE_LINE), deadline);
      const receipt = await report.until(isReceiptComplete, deadline);
      return { console: shown.toString('latin1'), receipt: judge(receipt, nonce, credentials) };
    } catch (cause) {
      throw new Error(`The guest did not finish. Its console:\n${console.received.toString('latin1')}`, {
        cause,
      });
    } finally {
      qemu.kill();
      console.close();
      report.close();
    }
  };
}

function deliverableValues({ vm, secrets }: GuestRequest): Map<string, Buffer> {
  const absent = [...secrets].find(([, { bytes }]) => bytes === null);
  if (absent !== undefined)
    throw new Error(`VM ${vm}: no file for ${absent[0]}; only the daemon can refuse that`);
  return new Map([...secrets].map(([name, secret]) => [name, deliveredBytes(secret)]));
}

function toOemString(name: string, value: Buffer): string {
  return `io.systemd.credential.binary:${name}=${value.toString('base64')}`;
}

/** The kernel, 512 MiB and the two ports on which a guest talks; emulated, so that it runs on every machine. */
function machineArguments(folder: string, kernel: string): string[] {
  const words = `
    -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max -smp 1 -m 512
    -machine q35,smbios-entry-point-type=64
    -chardev socket,id=console,path=${folder}/console.sock -serial chardev:console
    -device virtio-serial-pci
    -chardev socket,id=report,path=${folder}/report.sock
    -device virtserialport,chardev=report,name=org.vmsecretd.report
    -initrd ${folder}/initramfs`;
  return [...words.trim().split(/\s+/), '-kernel', kernel, '-append', GUEST_KERNEL_PARAMETERS];
}

function smbiosArguments(folder: string, strings: readonly string[]): string[] {
  return strings.flatMap((string, index) => {
    const path = join(folder, `oem-string-${index}`);
    writeFileSync(path, string, { mode: 0o600 });
    return ['-smbios', `type=11,path=${path}`];
  });
}

/** `ended` aborts, with what QEMU printed, when it ends by itself. */
function startQemu(args: readonly string[]): { readonly ended: AbortSignal; readonly kill: () => void } {
  const ended = new AbortController();
  const qemu = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const printed = text(qemu.stderr);
  qemu.on('error', error => ended.abort(error));
  qemu.on('exit', async () => ended.abort(new Error(`QEMU ended: ${await printed}`)));
  return { ended: ended.signal, kill: () => qemu.kill('SIGKILL') };
}

function judge(bytes: Buffer, nonce: Buffer, credentials: ReadonlyMap<string, Buffer>): ReceiptVerdict {
  const expected = [...credentials].map(([name, value]) => ({
    name,
    digest: computeReceiptDigest(nonce, value),
  }));
  return verifyReceipt(parseReceipt(bytes), expected);
}
