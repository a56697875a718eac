// What docs/install.md, docs/systemd.md, docs/operations.md and docs/secrets.md tell to type, word for word and in their order,
// on a Debian that has nothing of vmsecretd yet.
import { type Test, test } from 'tap';
import { readBlock, readInline, readPage } from '../setup/pages.js';
import { bootVmHost, PRINTED_SECRET, SECRET, type VmHost, whyNoVmHost } from './vm-host.js';

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

const STEPS: Readonly<Record<string, (t: Test, host: VmHost) => Promise<void>>> = {
  installing: async (t, host) => {
    const block = readBlock(INSTALL, BUILD);
    const printed = await type(host, block.replace(BUILD, ''));
    t.match(printed, /^Installed vmsecretd in \/usr\/local\/lib\/vmsecretd\. Next: systemctl enable/m);
    t.match(printed, /^ok +daemon/m);
    t.notMatch(printed, /^WRONG/m, 'doctor finds nothing wrong on a host that was just installed');
    t.equal(await host.sh('systemctl is-enabled vmsecretd.service'), 'enabled');
    t.match(block, '# members of the group vmsecretd need no sudo');
    await host.sh(`
      runuser -u nobody -g vmsecretd -- vmsecretctl list &&
      ! runuser -u nobody -- vmsecretctl list`);
  },

  'a secret for the key of the host': async (t, host) => {
    const encrypt = readInline(INSTALL, 'age -R /etc/ssh/ssh_host_ed25519_key.pub -o api-key.age');
    t.equal(readInline('docs/nixos.md', encrypt), encrypt);
    await host.sh(`cd /etc/secrets && printf %s '${SECRET}' | ${encrypt}`);
    // And to a second one that lies elsewhere.
    const twice = readInline('docs/operations.md', 'age -r HOST -r OFFLINE');
    const open = readInline('docs/secrets.md', 'age -d -i IDENTITY FILE').replace('FILE', 'both.age');
    const printed = await type(
      host,
      `
      cd /tmp; ${readInline('docs/secrets.md', 'age-keygen -o key.txt')} 2> /dev/null
      HOST=$(cat /etc/ssh/ssh_host_ed25519_key.pub) OFFLINE=$(age-keygen -y key.txt)
      printf %s both | ${twice.replace('HOST', '"$HOST"').replace('OFFLINE', '$OFFLINE')} > both.age
      for identity in key.txt /etc/ssh/ssh_host_ed25519_key; do ${open.replace('IDENTITY', '$identity')}; done`,
    );
    t.equal(printed, 'bothboth');
  },

  'a VM': async (t, host) => {
    await host.sh(`
      mkdir -p /etc/vmsecretd/vms /var/lib/microvms/demo
      cat > /etc/vmsecretd/vms/demo.json << 'PAGE'\n${readBlock(SYSTEMD, '{\n  "command"')}PAGE
      cp /opt/guests/await-power-button /var/lib/microvms/demo/vmlinux
      truncate -s 8M /var/lib/microvms/demo/disk.img
      chown microvm /var/lib/microvms/demo/*`);
    // As a umask of 002 leaves it.
    const mend = readInline('docs/secrets.md', 'chmod g-w /etc/vmsecretd/vms');
    t.match(await host.sh('chmod g+w /etc/vmsecretd/vms; vmsecretctl reload; true'), `; ${mend}`);
    await type(host, mend);
    const printed = await type(host, readBlock(SYSTEMD, 'sudo install -d'));
    t.match(printed, /^ok +credential API_KEY/m);
    t.equal(await host.sh('states demo; systemctl is-enabled microvm@demo'), 'active running\nenabled');
  },

  watching: async (t, host) => {
    t.equal(
      await host.sh(`
        ${readInline(SYSTEMD, 'journalctl -u microvm@demo -f')} > /tmp/followed & follower=$!
        eventually 'grep -qF "${PRINTED_SECRET}" /tmp/followed'; kill $follower; echo seen`),
      'seen',
    );
    t.match(await type(host, readInline(SYSTEMD, 'journalctl -u vmsecretd')), '"msg":"listening"');
    t.match(await type(host, readInline(SYSTEMD, 'vmsecretctl list')), /^demo +running/m);
    t.match(await type(host, readInline(SYSTEMD, 'systemctl status vmsecretd')), /Status: "1 VM running"/);
    const unit = readInline('docs/errors.md', 'journalctl -u UNIT').replace('UNIT', 'microvm@demo');
    t.match(await type(host, unit), 'END OF OEM STRINGS');
    const [answer = ''] = (await type(host, readBlock('docs/http-api.md', 'curl '))).split('\n').slice(-1);
    t.match(JSON.parse(answer), { vms: [{ name: 'demo', state: 'running', supervisor: 'unit' }] });
    for (const [page, command] of [
      ['docs/operations.md', 'sudo vmsecretctl doctor'],
      ['SECURITY.md', 'vmsecretd --version'],
    ] as const)
      t.match(
        await type(host, readInline(page, command)),
        /^((ok|warning) +VM demo|\d+\.\d+\.\d+$)/m,
        command,
      );
  },

  'upgrading: no guest notices': async (t, host) => {
    const mainPid = await host.sh('unit demo MainPID');
    await type(host, 'sudo systemd/install.sh');
    t.equal(await host.sh('states demo; unit demo MainPID'), `active running\n${mainPid}`);
  },

  stopping: async (t, host) => {
    // systemctl edit asks for a terminal, and an editor.
    await host.sh(`
      cat > /tmp/drop-in << 'PAGE'\n${readBlock(SYSTEMD, '[Service]\nTimeoutStopSec')}PAGE
      printf '#!/bin/sh\\ncat /tmp/drop-in > "$1"\\n' > /tmp/editor; chmod 755 /tmp/editor
      SYSTEMD_EDITOR=/tmp/editor script --quiet --return --command '${readInline(SYSTEMD, 'systemctl edit microvm@demo')}' /dev/null`);
    t.equal(await host.sh('unit demo TimeoutStopUSec'), '5min 30s');
    await type(host, readInline(SYSTEMD, 'systemctl stop microvm@demo'));
    t.equal(await host.sh('states demo'), 'inactive stopped');
    await type(host, readInline(SYSTEMD, 'systemctl stop vmsecretd'));
    await type(host, readInline(SYSTEMD, 'vmsecretctl start demo'));
    t.equal(await host.sh('states demo'), 'active running', 'the question has started the daemon');
    await host.sh('systemctl stop vmsecretd.socket vmsecretd-admin.socket vmsecretd');
    await type(host, readInline(SYSTEMD, 'systemctl start vmsecretd-admin.socket'));
    t.equal(await host.sh('systemctl restart microvm@demo; unit demo ActiveState'), 'active');
    await host.sh('systemctl start vmsecretd.socket');
  },

  'every drop-in of the table is one that systemd takes': async (t, host) => {
    const rows = [...readPage(SYSTEMD).matchAll(/^\| [^|]* \| (vmsecretd|microvm@): (.*?) *\|$/gm)];
    t.ok(rows.length >= 6, `${rows.length} rows`);
    for (const [, unit, settings = ''] of rows) {
      const lines = [...settings.matchAll(/`([A-Z]\w+=[^`]*)`/g)].map(([, line]) => line);
      t.ok(lines.length > 0, settings);
      const folder = `/run/systemd/system/${unit}.service.d`;
      const printed = await host.sh(`
        mkdir -p ${folder}; printf '%s\\n' '[Service]' ${lines.map(line => `'${line}'`).join(' ')} > ${folder}/table.conf
        systemd-analyze verify --man=no ${unit?.replace('@', '@demo')}.service 2>&1; rm -r ${folder}`);
      t.equal(printed, '', settings);
    }
  },

  'a secret that is rotated, and the daemon that is restarted': async (t, host) => {
    const page = 'docs/operations.md';
    const start = readInline(INSTALL, 'sudo systemctl start microvm@NAME').replace('NAME', 'web');
    await host.sh(`define web await-power-button; vmsecretctl reload; ${start}`);
    t.match(
      await type(host, readInline(INSTALL, 'sudo vmsecretctl start NAME').replace('NAME', 'web')),
      'web',
    );
    await host.sh(`
      cd /etc/secrets; printf %s new | ${readBlock(page, 'age -R ').trim()}
      eventually 'vmsecretctl list | grep -q "^web .* outdated$"'`);
    await type(host, readBlock(page, 'sudo vmsecretctl check web'));
    t.notMatch(await type(host, readInline(page, 'vmsecretctl list')), 'outdated');
    await host.sh(
      `eventually '[ "$(console web | grep -cF "API_KEY=${Buffer.from('new').toString('base64')}")" = 1 ]'`,
    );
    await type(host, readInline(page, 'sudo systemctl restart vmsecretd'));
    await type(host, readInline(page, 'vmsecretctl restart NAME').replace('NAME', 'web'));
    t.equal(await host.sh('states web; states demo'), 'active running\nactive running');
    const check = readInline(page, 'vmsecretd --config /etc/vmsecretd/config.json check');
    t.match(await type(host, check), 'every key has its default', 'nothing is wrong');
    await host.sh(`echo '{"identites": []}' > /etc/vmsecretd/config.json`);
    t.match(await type(host, `! ${check} 2>&1`), /identites.*identities/s);
  },

  'without systemd, as a user': async (t, host) => {
    const define = readInline(INSTALL, 'sudo vmsecretctl define NAME FILE')
      .replace('sudo vmsecretctl', 'node dist/bundle/vmsecretctl.js')
      .replace('NAME FILE', 'own /tmp/own/own.json');
    const list = readInline(INSTALL, 'node dist/bundle/vmsecretctl.js list');
    const stop = readInline(INSTALL, 'node dist/bundle/vmsecretctl.js stop --all');
    const printed = await host.sh(`
      install -d -o nobody -m 700 /tmp/own && cd /tmp/own
      echo '{"command": ["--kernel", "/opt/guests/await-power-button", "--memory", "size=64M"]}' > own.json
      as_user() { runuser -u nobody -- env HOME=/tmp/own XDG_RUNTIME_DIR=/tmp/own XDG_STATE_HOME=/tmp/own sh -c "$1"; }
      as_user 'cd /project; exec ${readBlock(INSTALL, 'node ').trim()}' > /tmp/own.log 2>&1 & daemon=$!
      eventually 'grep -q "listening" /tmp/own.log'
      as_user 'cd /project; ${define} && vmsecretctl start own && ${list} && ${stop}'
      kill $daemon; wait $daemon || true`);
    t.match(printed, /^own +running +yes +daemon.*\n(.*\n)*own +stopped/m);
  },

  'the guest parts': async (t, host) => {
    const page = 'docs/guest.md';
    const enable = readInline(page, 'systemctl enable vmsecretd-kubernetes-secret@NAME').replace(
      'NAME',
      'keys',
    );
    // kubectl is one that keeps what it is told.
    const printed = await type(
      host,
      `
      useradd --system headscale
      mkdir -p /run/credentials/@system /etc/vmsecretd-guest/kubernetes
      for name in HEADSCALE_PRIVATE DERP_KEY; do printf %s "of $name" > /run/credentials/@system/$name; done
      printf '#!/bin/sh\\ncat >> /run/applied\\n' > /usr/local/bin/kubectl; chmod 755 /usr/local/bin/kubectl
      cat > /etc/vmsecretd-guest/secrets << 'PAGE'\n${readBlock(page, '# credential:path:owner')}PAGE
      cat > /etc/vmsecretd-guest/kubernetes/keys << 'PAGE'\n${readBlock(page, 'namespace:')}PAGE
      ${readInline(page, 'guest/install.sh [ROOT]').replace(' [ROOT]', '')}
      ${readInline(page, 'systemctl restart vmsecretd-place')}
      ${enable}; systemctl start vmsecretd-kubernetes-secret@keys
      for name in private derp; do stat -c '%U %G %a' /run/agenix/headscale-$name; cat /run/agenix/headscale-$name; echo; done
      cat /run/applied`,
    );
    t.match(printed, 'headscale headscale 400\nof HEADSCALE_PRIVATE\nroot root 400\nof DERP_KEY\n');
    t.match(printed, `"private.key": "${Buffer.from('of HEADSCALE_PRIVATE').toString('base64')}"`);
  },
};

test('the commands of the pages for a host with systemd work as they stand', {
  skip,
  timeout: 300_000,
}, async t => {
  const host = await bootVmHost(t, {}, PREPARE);
  for (const [title, step] of Object.entries(STEPS)) await t.test(title, t => step(t, host));
});
