// VMs as units on a real systemd: started, told of, failed, ended and started again, with the daemon's words in the journal.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { bootVmHost, PRINTED_SECRET, SECRET, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();
const TIMEOUT_MS = 180_000;

test('a VM with its secret, a disk and a tap is a unit of a user that is not root', {
  skip,
  timeout: TIMEOUT_MS,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    set -e
    install -d -o microvm -m 700 /var/lib/microvms/demo
    truncate -s 8M /var/lib/microvms/demo/disk.img
    chown microvm /var/lib/microvms/demo/disk.img
    ip tuntap add dev vm-demo mode tap user microvm
    ip link set vm-demo up
    define demo await-power-button ', "--disk", "path=/var/lib/microvms/demo/disk.img,image_type=raw", "--net", "tap=vm-demo"'
    systemctl start vmsecretd`);
  t.equal(await host.sh('states demo'), 'inactive stopped');

  await host.sh('systemctl start microvm@demo');
  t.equal(await host.sh('states demo'), 'active running', 'systemctl start returns when the guest is booted');
  await host.sh(`eventually 'console demo | grep -qxF "${PRINTED_SECRET}"'`);
  t.equal(await host.sh('ps -o user= -p "$(unit demo MainPID)"'), 'microvm');
  t.equal(await host.sh('ps -o comm= -p "$(unit demo MainPID)"'), 'cloud-hyperviso');
  await host.sh(`eventually 'systemctl show vmsecretd --property StatusText | grep -q "1 VM running"'`);

  t.test('and the secret is in no command line, environment, log or file of the host', async t => {
    // In files, so that grep's own command line has no secret, and for itself what it looks for is there.
    writeFileSync(join(host.folder, 'secrets'), `${SECRET}\n${PRINTED_SECRET.split('=')[1]}\n`);
    writeFileSync(join(host.folder, 'holds-one'), `before ${SECRET} after`);
    const found = await host.sh(`
      find_secrets() { grep -aF --files-with-matches --file /opt/guests/secrets "$@" 2> /dev/null; }
      find_secrets /proc/[0-9]*/cmdline /proc/[0-9]*/environ
      journalctl --unit vmsecretd --output cat | find_secrets --label 'the journal of vmsecretd' -
      find_secrets --recursive /run/vmsecretd /var/lib/vmsecretd /var/lib/microvms /etc/vmsecretd /etc/secrets
      find_secrets /opt/guests/holds-one`);
    t.equal(found, '/opt/guests/holds-one');
  });

  t.test('and a check looks as that user, in the sandbox of its unit', async t => {
    const checked = (name: string) => host.sh(`vmsecretctl check ${name} || true`);
    await host.sh(`
      disk=/var/lib/microvms/looked
      install -d -o microvm -m 700 $disk; truncate -s 8M $disk/own.img; chown microvm $disk/own.img
      install -d /var/lib/microvms/roots; install -m 600 /dev/null /var/lib/microvms/roots/roots.img
      mkdir -p /srv/disks /home/anna; truncate -s 8M /srv/disks/open.img; chmod 666 /srv/disks/open.img; cp /opt/guests/stay /home/anna/kernel
      define looked await-power-button ', "--disk", "path=own.img"'
      define hidden ../../home/anna/kernel ', "--disk", "path=/srv/disks/open.img,image_type=raw", "--net", "tap=vm-none"'
      define roots await-power-button ', "--disk", "path=roots.img"'
      vmsecretctl reload`);
    t.match(await checked('looked'), /ok +host +nothing is missing/);
    const hidden = await checked('hidden');
    t.match(
      hidden,
      /kernel \S*\/home\/anna\/kernel may not be read by the user of microvm@hidden\.service \(microvm\)/,
    );
    t.match(hidden, /disk image \/srv\/disks\/open\.img may not be read and written by .*ReadWritePaths=/);
    t.match(hidden, /tap vm-none does not exist; a unit that microvm@hidden\.service requires may make it/);
    t.match(
      await checked('roots'),
      /not looked at: whether .* may use disk image .*roots\.img/,
      'systemd may give it away',
    );
  });

  t.equal(
    await host.sh(
      `systemctl stop microvm@demo; eventually '[ "$(vm_state demo)" = stopped ]'; states demo; vmm_count; unit demo Result`,
    ),
    'inactive stopped\n0\nsuccess',
  );
  t.equal(
    await host.sh('vmsecretctl start demo > /dev/null; states demo'),
    'active running',
    'vmsecretctl start returns when systemd agrees',
  );
  t.equal(await host.sh('vmsecretctl restart demo > /dev/null; states demo'), 'active running');
  t.match(await host.sh('vmsecretctl stop demo > /dev/null; states demo'), /^inactive stopped/);
});

test('a secret that is missing fails the unit, in the words of the daemon', {
  skip,
  timeout: TIMEOUT_MS,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(
    'define demo await-power-button; systemctl start microvm@demo; mv /etc/secrets/api-key.age /etc/secrets/away',
  );
  t.not(await host.sh('systemctl restart microvm@demo > /dev/null 2>&1; echo $?'), '0', 'systemctl says so');
  t.match(
    await host.sh('console demo'),
    /vmsecretd-launch: VM demo, credential API_KEY: \/etc\/secrets\/api-key\.age/,
  );
  t.equal(await host.sh('vmm_count; vm_state demo'), '0\nfailed');

  const attempts = await host.sh(`
    eventually '[ "$(launcher_lines demo API_KEY | wc -l)" -ge 3 ]'
    journalctl --unit microvm@demo --output short-unix | grep 'vmsecretd-launch: .*API_KEY' | cut -d ' ' -f 1`);
  const times = attempts.split('\n').map(Number);
  // The time of a line is when the journal got it.
  const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  t.ok(
    pauses.length >= 2 && pauses.every(seconds => seconds > 4.5),
    `one attempt each five seconds: ${pauses}`,
  );
  await host.sh(`eventually '[ "$(unit demo SubState) $(vm_state demo)" = "auto-restart failed" ]'`);

  await host.sh(
    `mv /etc/secrets/away /etc/secrets/api-key.age; eventually '[ "$(states demo)" = "active running" ]'`,
  );
  t.equal(await host.sh('vmm_count'), '1', 'systemd starts it once the secret is back');
});

test('a guest that cannot be booted fails the unit, and no VMM is left', {
  skip,
  timeout: TIMEOUT_MS,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    define demo refuses-boot
    mkdir -p /etc/systemd/system/microvm@demo.service.d
    printf '[Service]\\nRestart=no\\n' > /etc/systemd/system/microvm@demo.service.d/once.conf
    systemctl daemon-reload; systemctl start vmsecretd`);
  t.not(await host.sh('systemctl start microvm@demo > /dev/null 2>&1; echo $?'), '0');
  t.equal(await host.sh('vmm_count; states demo; unit demo Result'), '0\nfailed failed\nsignal');
  await host.sh(`eventually 'journalctl --unit microvm@demo | grep -q "vmsecretd.*vm.boot"'`);
});

test('a VMM that is killed is started again by systemd, with its secret', {
  skip,
  timeout: TIMEOUT_MS,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`define demo stay; systemctl start microvm@demo; unit demo MainPID > /tmp/first`);
  await host.sh(`
    kill -KILL "$(cat /tmp/first)"
    eventually '[ "$(unit demo NRestarts)" = 1 ] && [ "$(states demo)" = "active running" ]'
    eventually '[ "$(console demo | grep -cxF "${PRINTED_SECRET}")" = 2 ]'`);
  t.equal(await host.sh('vmm_count'), '1');
  t.not(await host.sh('unit demo MainPID'), await host.sh('cat /tmp/first'));
});

test('a guest that hears no power button has stopTimeoutSeconds of its definition', {
  skip,
  timeout: TIMEOUT_MS,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    define demo stay
    sed -i 's/"credentials"/"stopTimeoutSeconds": 3, "credentials"/' /etc/vmsecretd/vms/demo.json
    systemctl start microvm@demo`);
  const startedMs = Date.now();
  t.equal(
    await host.sh(`
      systemctl stop microvm@demo
      eventually '[ "$(states demo)" = "inactive stopped" ]'
      unit demo Result`),
    'success',
  );
  const seconds = (Date.now() - startedMs) / 1000;
  t.ok(seconds >= 3 && seconds < 60, `after ${seconds} s`);
});

test('the first question on a socket starts the daemon', { skip, timeout: TIMEOUT_MS }, async t => {
  const host = await bootVmHost(t);
  await host.sh('systemctl start vmsecretd.socket vmsecretd-admin.socket');
  for (const socket of ['vmsecretd', 'admin']) {
    t.equal(await host.sh('systemctl is-active vmsecretd.service || true'), 'inactive');
    const status = await host.sh(`
      curl --silent --output /dev/null --write-out '%{http_code}' --unix-socket /run/vmsecretd/${socket}.sock http://localhost/v1/vms`);
    t.equal(status, '200', `${socket}.sock answers`);
    // It answers first, and then tells systemd that it is ready.
    await host.sh(
      "eventually 'systemctl is-active --quiet vmsecretd.service'; systemctl stop vmsecretd.service",
    );
  }
});
