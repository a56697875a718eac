// VMs as units on a real systemd: started, told of, failed, ended and started again, with the daemon's words in the journal.

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
  await host.sh(`eventually 'systemctl show vmsecretd --property StatusText | grep -q "1 VMs\\? running"'`);

  t.test('and the secret is in no command line, environment or log of the host', async t => {
    const found = await host.sh(`
      grep -lF -e ${SECRET} -e ${PRINTED_SECRET.split('=')[1]} /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null
      journalctl --unit vmsecretd --output cat | grep -F -e ${SECRET} -e ${PRINTED_SECRET.split('=')[1]}
      grep -rlF -e ${SECRET} /run/vmsecretd /var/lib/vmsecretd /etc/vmsecretd /etc/secrets 2> /dev/null
      true`);
    // The scripts above hold it, as an argument of grep.
    t.strictSame(
      found.split('\n').filter(line => !/^\/proc\/\d+\/cmdline$/.test(line) && line !== ''),
      [],
    );
  });

  t.equal(
    await host.sh('systemctl stop microvm@demo; states demo; vmm_count; unit demo Result'),
    'inactive stopped\n0\nsuccess',
  );
  // From the other side: the unit is active some moments after the boot, when its ExecStartPost= has looked again.
  await host.sh(`vmsecretctl start demo > /dev/null; eventually '[ "$(states demo)" = "active running" ]'`);
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
  t.match(await host.sh('console demo'), /vmsecretd-launch: .*API_KEY.*\/etc\/secrets\/api-key\.age/);
  t.equal(await host.sh('vmm_count; vm_state demo'), '0\nfailed');

  const attempts = await host.sh(`
    eventually '[ "$(launcher_lines demo API_KEY | wc -l)" -ge 3 ]'
    journalctl --unit microvm@demo --output short-unix | grep 'vmsecretd-launch.*API_KEY' | cut -d . -f 1`);
  const [first = 0, second = 0, third = 0] = attempts.split('\n').slice(-3).map(Number);
  t.ok(second - first >= 5 && third - second >= 5, `one attempt each five seconds, at ${attempts}`);
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
  await host.sh('define demo refuses-boot; systemctl start vmsecretd');
  t.not(await host.sh('systemctl start microvm@demo > /dev/null 2>&1; echo $?'), '0');
  t.equal(await host.sh('vmm_count; vm_state demo; unit demo Result'), '0\nfailed\nsignal');
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
