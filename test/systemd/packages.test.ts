// npm run package: the same bytes at any umask, and what its packages do to a Debian from installation to purge. The part that
// reaches Debian's servers is for npm run soak.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { whyNotOnPath } from '../setup/programs.js';
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
    t.match(npm, stdout);
    t.match((await execa(join(prefix, 'bin/vmsecretd'), ['--version'])).stdout, stdout);
  });

  t.test('the package has no finding of lintian', { skip: whyNotOnPath('lintian') }, async t => {
    const { stdout } = await execa('lintian', ['--allow-root', join(folder, deb)]);
    t.equal(stdout, '');
  });

  t.test(
    'the tarball installs and starts a VM with its secret',
    { skip: whyNoVmHost(), timeout: 300_000 },
    async t => {
      const install = `set -e; cd /tmp && tar xf /packages/${tarball} && ./vmsecretd-*/systemd/install.sh; rm -r vmsecretd-*; ${MAKE_SECRET}`;
      const host = await bootVmHost(t, { '/packages': folder }, install);
      await host.sh('systemctl enable --now vmsecretd.service; define web stay; systemctl start microvm@web || { diagnose; exit 1; }');
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
      const install = `
      set -e
      export DEBIAN_FRONTEND=noninteractive
      apt-get -qq update
      mkdir /tmp/old
      # The version before: the same under a lower number.
      dpkg-deb --raw-extract /packages/${deb} /tmp/old/tree
      sed -i 's/^Version: .*/Version: 0.0.9-1/' /tmp/old/tree/DEBIAN/control
      dpkg-deb --root-owner-group --build /tmp/old/tree /tmp/old/vmsecretd.deb > /dev/null
      date +%T.%N; apt-get install -y --no-install-recommends /tmp/old/vmsecretd.deb; date +%T.%N
      ${MAKE_SECRET}`;
      const host = await bootVmHost(t, { '/packages': folder }, install, { suite: 'trixie', network: true });
      t.equal(
        await host.sh('systemctl is-active vmsecretd.service vmsecretd.socket vmsecretd-admin.socket'),
        'active\nactive\nactive',
        'it runs once it is installed',
      );
      t.equal(
        await host.sh('systemctl is-enabled vmsecretd.service vmsecretd.socket vmsecretd-admin.socket'),
        'enabled\nenabled\nenabled',
      );
      await host.sh('systemctl restart vmsecretd; define web stay; systemctl start microvm@web');
      t.match(await host.sh('console web'), PRINTED_SECRET);

      const before = await host.sh('unit web MainPID; unit web InvocationID');
      const daemon = await host.sh('systemctl show vmsecretd --property MainPID --value');
      await host.sh(`DEBIAN_FRONTEND=noninteractive apt-get install -y /packages/${deb}`, {
        deadlineMs: 300_000,
      });
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

      await host.sh('DEBIAN_FRONTEND=noninteractive apt-get remove -y vmsecretd', { deadlineMs: 300_000 });
      t.equal(await host.sh('vmm_count'), '0', 'a removal stops the VMs');
      t.equal(
        await host.sh(
          'systemctl list-units --all --no-legend --plain "*vmsecretd*" "microvm@*" | grep -v vmsecretd-test || true',
        ),
        '',
      );
      t.match(
        await host.sh('ls /etc/vmsecretd /etc/vmsecretd/vms'),
        'web.json',
        'a removal keeps definitions',
      );

      await host.sh(`DEBIAN_FRONTEND=noninteractive apt-get install -y /packages/${deb}`, {
        deadlineMs: 300_000,
      });
      await host.sh('systemctl start microvm@web');
      t.match(await host.sh('states web'), 'active running', 'installed again it starts them');

      await host.sh('DEBIAN_FRONTEND=noninteractive apt-get purge -y vmsecretd', { deadlineMs: 300_000 });
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
