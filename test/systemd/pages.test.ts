// What docs/install.md, docs/systemd.md, docs/operations.md and docs/secrets.md tell to type, word for word and in their order,
// on a Debian that has nothing of vmsecretd yet.
import { test } from 'tap';
import { readBlock, readInline, readPage } from '../setup/pages.js';
import { bootVmHost, SECRET, type VmHost, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();
const INSTALL = 'docs/install.md';
const SYSTEMD = 'docs/systemd.md';

/** What a Debian of people's has and this one lacks: sudo, the host's SSH key; and devices for all. */
const PREPARE = `
set -e
printf '#!/bin/sh\\nexec "$@"\\n' > /usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo
chmod 666 /dev/kvm /dev/net/tun 2> /dev/null || true
mkdir -p /etc/ssh /etc/secrets
install -m 600 /project/examples/agenix/host_ed25519_key /etc/ssh/ssh_host_ed25519_key
cp /project/examples/agenix/host_ed25519_key.pub /etc/ssh/ssh_host_ed25519_key.pub
`;
/** This test has a build already; .ci/run types these words. */
const BUILD = 'npm ci && npm run build\n';

/** Runs it in the clone, where pages are read; a script that fails throws. */
function type(host: VmHost, commands: string): Promise<string> {
  return host.sh(`set -e\ncd /project\n${commands}`);
}

test('the commands of the pages for a host with systemd work as they stand', {
  skip,
  timeout: 300_000,
}, async t => {
  const host = await bootVmHost(t, {}, PREPARE);

  await t.test('installing', async t => {
    const block = readBlock(INSTALL, BUILD);
    const printed = await type(host, block.replace(BUILD, ''));
    t.match(printed, /^Installed vmsecretd in \/usr\/local\/lib\/vmsecretd\. Next: systemctl enable/m);
    t.match(printed, /^ok +daemon/m);
    t.notMatch(printed, /^WRONG/m, 'doctor finds nothing wrong on a host that was just installed');
    t.equal(await host.sh('systemctl is-enabled vmsecretd.service'), 'enabled');
  });

  await t.test('a secret for the key of the host', async t => {
    const encrypt = readInline('docs/nixos.md', 'age -R /etc/ssh/ssh_host_ed25519_key.pub -o api-key.age');
    t.match(readPage(INSTALL), `\`${encrypt.replace(' -o api-key.age', '')}\``);
    await host.sh(`cd /etc/secrets && printf %s '${SECRET}' | ${encrypt}`);
  });

  await t.test('a VM', async t => {
    await host.sh(`
      mkdir -p /etc/vmsecretd/vms /var/lib/microvms/demo
      cat > /etc/vmsecretd/vms/demo.json << 'PAGE'\n${readBlock(SYSTEMD, '{\n  "command"')}PAGE
      cp /opt/guests/await-power-button /var/lib/microvms/demo/vmlinux
      truncate -s 8M /var/lib/microvms/demo/disk.img
      chown microvm /var/lib/microvms/demo/*`);
    const printed = await type(host, readBlock(SYSTEMD, 'sudo install -d'));
    t.match(printed, /^ok +credential API_KEY/m);
    t.equal(await host.sh('states demo; systemctl is-enabled microvm@demo'), 'active running\nenabled');
  });
});
