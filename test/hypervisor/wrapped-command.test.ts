import t from 'tap';
import { splitCommand } from '../../src/definition/split-command.js';
import { convertCommand } from '../../src/hypervisor/cloud-hypervisor/from-command.js';
import { splitQemuCommand } from '../../src/hypervisor/qemu/command-line.js';

const LINES: [string, string, RegExp][] = [
  ['sudo', 'sudo', /"user" of the definition/],
  ['sudo -u microvm', 'sudo -u microvm', /"user" of the definition/],
  ['exec', 'exec', /first option\.$/],
  ['env', 'env', /no environment but PATH/],
  ['/usr/bin/env RUST_LOG=debug', '/usr/bin/env RUST_LOG=...', /no environment but PATH/],
  ['TOKEN=s3cr3t', 'TOKEN=...', /no environment but PATH/],
  ['time', 'time', /first option\.$/],
  ['ip netns exec blue', 'ip netns exec blue', /NetworkNamespacePath=/],
  [
    'sudo ip netns exec blue taskset -c 1',
    'sudo ip netns exec blue taskset -c 1',
    /"user".*NetworkNamespacePath=.*CPUAffinity=/,
  ],
  ['nohup nice -n 5', 'nohup nice -n 5', /Nice=/],
];

t.test('says what to leave out before the hypervisor, and what does it here', async t => {
  for (const [wrapper, shown, advice] of LINES) {
    for (const program of ['cloud-hypervisor', '/opt/bin/cloud-hypervisor', './cloud-hypervisor-static']) {
      const words = splitCommand(`${wrapper} ${program} --kernel /k`);
      const message = `"${shown}" belongs to no option, and stands before the hypervisor: leave it out`;
      t.throws(() => convertCommand(words), {
        code: 'command_invalid',
        message: new RegExp(`^${escapePattern(message)}.*${advice.source}`),
      });
    }
    const qemu = splitCommand(`${wrapper} qemu-system-x86_64 -m 64`);
    t.throws(() => splitQemuCommand(qemu), {
      code: 'command_invalid',
      message: /before the hypervisor: leave it out/,
    });
  }
  t.throws(() => convertCommand(['sudo', '/opt/vmm', '--kernel', '/k']), {
    message: /^"sudo" belongs to no option, and stands before the hypervisor/,
  });
});

t.test('takes the program itself, by any path, and values that are named as a wrapper', async t => {
  for (const program of [[], ['cloud-hypervisor'], ['/nix/store/x/bin/cloud-hypervisor'], ['/srv/sudo/vmm']])
    t.doesNotThrow(() =>
      convertCommand([...program, '--kernel', 'sudo', '--initramfs', '/x/cloud-hypervisor']),
    );
});

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
