import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();

/** The launcher of VM my-app beside a vmsecretd-launch that prints its arguments and its standard input. */
async function writeLauncher(folder: string, cgroup: string, more = ''): Promise<string> {
  const launch = join(folder, 'vmsecretd-launch');
  const cgroupFile = join(folder, 'cgroup');
  const text = await evaluate(
    `import (pure + "/launcher-text.nix") { inherit launch cgroupFile; name = "my-app"; ${more} }`,
    { launch, cgroupFile },
  );
  const file = join(folder, 'cloud-hypervisor');
  await writeFile(cgroupFile, cgroup);
  await writeFile(launch, '#!/bin/sh\nprintf "<%s>" "$@"\ncat\n');
  await writeFile(file, String(text));
  await Promise.all([chmod(launch, 0o755), chmod(file, 0o755)]);
  return file;
}

const OTHER_CGROUPS = [
  '0::/user.slice/user-1000.slice/session-3.scope\n',
  '0::/system.slice/microvm@my-app.service.d\n',
  '0::/system.slice/xmicrovm@my-app.service\n',
  '',
];
for (const cgroup of OTHER_CGROUPS) {
  t.test(
    `in the cgroup ${JSON.stringify(cgroup)} it exits 1 and says how to start the VM`,
    { skip },
    async t => {
      const launcher = await writeLauncher(t.testdir(), cgroup);
      const { exitCode, stderr, stdout } = await execa(launcher, ['--kernel', 'x'], { reject: false });
      t.equal(exitCode, 1);
      t.match(stderr, /systemctl start microvm@my-app\.service$/);
      t.equal(stdout, '');
    },
  );
}

const UNIT_CGROUPS = [
  '0::/system.slice/system-microvm.slice/microvm@my-app.service\n',
  '12:cpu:/\n1:name=systemd:/system.slice/microvm@my-app.service/vm\n',
];
for (const cgroup of UNIT_CGROUPS) {
  t.test(
    `in ${JSON.stringify(cgroup)} it hands every argument and its standard input on`,
    { skip },
    async t => {
      const launcher = await writeLauncher(t.testdir(), cgroup);
      const { stdout } = await execa(launcher, ['--cmdline', 'a  "b" $c', ''], { input: 'typed' });
      t.equal(stdout, '<my-app><--><--cmdline><a  "b" $c><>typed');
    },
  );
}

t.test('adds the image type to the store disk and to no other', { skip }, async t => {
  const more = 'storeDisk = { path = "/nix/store/a-store.erofs"; imageType = "raw"; };';
  const launcher = await writeLauncher(t.testdir(), UNIT_CGROUPS[0] as string, more);
  const disks = [
    'num_queues=2,path=/nix/store/a-store.erofs,readonly=on',
    'path=/nix/store/a-store.erofs',
    'path=/nix/store/a-store.erofs.old,readonly=on',
    'path=/nix/store/a-store.erofs,image_type=qcow2',
    'path=/var/lib/a b.img',
  ];
  const { stdout } = await execa(launcher, ['--disk', ...disks, '--cmdline', ''], { input: '' });
  const [first, second, ...others] = disks;
  const words = ['--disk', `${first},image_type=raw`, `${second},image_type=raw`, ...others, '--cmdline', ''];
  t.equal(stdout, ['my-app', '--', ...words].map(word => `<${word}>`).join(''));
});

t.test('refuses a name that is no VM name', { skip }, async t => {
  await t.rejects(evaluate('import (pure + "/launcher-text.nix") { name = "a/b"; }'), /'a\/b' is no VM name/);
});
