// npm run package: the same bytes at any umask, and what its packages do to a Debian from installation to purge. The part that
// reaches Debian's servers is for npm run soak.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { readBlock, readInline } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { bootVmHost, findRealHypervisor, MAKE_SECRET, PRINTED_SECRET, whyNoVmHost } from './vm-host.js';

const whyNoPackages = whyNotOnPath('git') || whyNotOnPath('npm') || whyNotOnPath('dpkg-deb');

if (whyNoPackages) {
  t.plan(0, whyNoPackages);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-packages-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));

  async function makePackages(umask: string): Promise<string> {
    const { stdout } = await execa('sh', ['-c', `umask ${umask} && bash package/package.sh`]);
    return stdout;
  }
  const digests = await makePackages('077');
  await execa('cp', ['-R', 'dist/packages/.', folder]);
  t.equal(await makePackages('022'), digests, 'the packages have the same bytes at any umask');
  const [deb = '', tarball = '', npm = ''] = ['.deb', '.tar.gz', '.tgz'].map(ending =>
    readdirSync(folder).find(name => name.endsWith(ending)),
  );

  t.test('npm installs the npm package without the registry', async t => {
    t.match(readInline('docs/install.md', 'npm install --global ./vmsecretd-0.2.0.tgz'), npm);
    const prefix = t.testdir();
    await execa('npm', [
      'install',
      '--global',
      '--offline',
      '--no-audit',
      `--prefix=${prefix}`,
      join(folder, npm),
    ]);
    const { stdout } = await execa(join(prefix, 'bin/vmsecretctl'), ['--version']);
    // No daemon answers here, which the exit status says.
    const versions = await execa(
      join(prefix, 'bin/vmsecretctl'),
      ['--json', '--socket', '/nowhere', 'version'],
      { reject: false },
    );
    const commit = (await execa('git', ['rev-parse', 'HEAD'])).stdout;
    t.match(JSON.parse(versions.stdout), { client: stdout, commit });
    t.match(npm, stdout);
    t.match((await execa(join(prefix, 'bin/vmsecretd'), ['--version'])).stdout, stdout);
  });

  const skipLintian = !process.env.VMSECRETD_PACKAGES ? 'npm run soak' : whyNotOnPath('lintian');
  t.test('the package has no finding of lintian', { skip: skipLintian }, async t => {
    const { stdout } = await execa('lintian', ['--allow-root', join(folder, deb)]);
    t.equal(stdout, '');
  });

  t.test(
    'the tarball installs and starts a VM with its secret',
    { skip: whyNoVmHost(), timeout: 300_000 },
    async t => {
      const unpacked = tarball.replace('.tar.gz', '');
      const page = readBlock('docs/install.md', 'tar xf')
        .replaceAll(/vmsecretd-[\d.]+(?=\/|\.tar)/g, unpacked)
        .replaceAll('sudo ', '');
      const host = await bootVmHost(t, { '/packages': folder }, 'true');
      const printed = await host.sh(
        `set -e; cp /packages/${tarball} /tmp; cd /tmp\n${page}\nrm -r ${unpacked}`,
      );
      t.match(printed, /^ok +daemon/m);
      await host.sh(
        `${MAKE_SECRET}\ndefine web stay; systemctl restart vmsecretd; systemctl start microvm@web`,
      );
      t.match(await host.sh('console web'), PRINTED_SECRET);
    },
  );

  const skip =
    (!process.env.VMSECRETD_PACKAGES && "installs from Debian's servers: npm run soak") ||
    whyNoVmHost() ||
    (findRealHypervisor() === undefined && 'needs cloud-hypervisor on PATH and /dev/kvm');
  t.test(
    'the Debian package on Debian 13: install, upgrade, remove, purge',
    { skip, timeout: 1_800_000 },
    async t => {
      const page = readBlock('README.md', 'sudo apt install').replace(/vmsecretd_\S+_all\.deb/, deb);
      const [install = '', encrypt = '', ...define] = page.split('\n');
      const prepare = `
        set -e
        printf '#!/bin/sh\nexec "$@"\n' > /usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo
        echo 'APT::Get::Assume-Yes "true";' > /etc/apt/apt.conf.d/yes
        apt-get -qq update
        install -D -m 600 /keys/host_ed25519_key /etc/ssh/ssh_host_ed25519_key
        cp /keys/host_ed25519_key.pub /etc/ssh/ssh_host_ed25519_key.pub
        # The version before: the same under a lower number.
        mkdir /tmp/old
        dpkg-deb --raw-extract /packages/${deb} /tmp/old/tree
        sed -i 's/^Version: .*/Version: 0.0.9-1/' /tmp/old/tree/DEBIAN/control
        dpkg-deb --root-owner-group --build /tmp/old/tree /tmp/old/${deb} > /dev/null`;
      const binds = { '/packages': folder, '/keys': join(PROJECT_ROOT, 'examples/agenix') };
      const host = await bootVmHost(t, binds, prepare, { suite: 'trixie', network: true });
      const apt = (command: string) =>
        host.sh(`export DEBIAN_FRONTEND=noninteractive; ${command}`, { deadlineMs: 600_000 });
      const started = Date.now();
      await apt(`cd /tmp/old && ${install}`);
      const installedMs = Date.now() - started;
      t.equal(
        await host.sh('systemctl is-active vmsecretd.service vmsecretd.socket vmsecretd-admin.socket'),
        'active\nactive\nactive',
        'it runs once it is installed',
      );
      t.equal(
        await host.sh('systemctl is-enabled vmsecretd.service vmsecretd.socket vmsecretd-admin.socket'),
        'enabled\nenabled\nenabled',
      );
      await host.sh(`
        chmod 666 /dev/kvm
        install -d -o microvm -m 700 /var/lib/microvms/web
        cp /opt/guests/await-power-button /var/lib/microvms/web/vmlinux
        truncate -s 8M /var/lib/microvms/web/disk.img
        chown microvm /var/lib/microvms/web/*`);
      await host.sh(`set -e\n${encrypt}\n${define.join('\n')}`);
      t.match(
        await host.sh('console web'),
        `API_KEY=${Buffer.from('correct horse').toString('base64')}`,
        'the VM of the README has its secret',
      );
      t.comment(`apt install: ${installedMs} ms; to the guest's line: ${Date.now() - started} ms`);

      const before = await host.sh('unit web MainPID; unit web InvocationID');
      const daemon = await host.sh('systemctl show vmsecretd --property MainPID --value');
      await apt(`cd /packages && ${install}`);
      t.equal(await host.sh('unit web MainPID; unit web InvocationID'), before, 'an upgrade stops no VM');
      t.not(
        await host.sh('systemctl show vmsecretd --property MainPID --value'),
        daemon,
        'the daemon is the new one',
      );
      t.equal(
        await host.sh('eventually \'[ "$(states web)" = "active running" ]\'; states web'),
        'active running',
      );

      await apt('apt remove vmsecretd');
      t.equal(await host.sh('vmm_count'), '0', 'a removal stops the VMs');
      t.equal(
        await host.sh(
          'systemctl list-units --type=service,socket --state=active,failed --no-legend --plain "*vmsecretd*" "microvm@*" | grep -v vmsecretd-test || true',
        ),
        '',
      );
      t.match(
        await host.sh('ls /etc/vmsecretd /etc/vmsecretd/vms'),
        'web.json',
        'a removal keeps definitions',
      );

      await apt(`cd /packages && ${install}`);
      await host.sh('systemctl start microvm@web');
      t.match(await host.sh('states web'), 'active running', 'installed again it starts them');

      await apt('apt purge vmsecretd');
      t.equal(
        await host.sh(
          'ls -d /etc/vmsecretd /var/lib/vmsecretd /run/vmsecretd /usr/lib/vmsecretd /etc/systemd/system/*/vmsecretd* 2> /dev/null || true',
        ),
        '',
        'a purge leaves nothing',
      );
      t.match(await host.sh('ls -d /var/lib/microvms'), '/var/lib/microvms', 'but the disks');
    },
  );
}
