// The end of the host, and of the installation.

import { existsSync } from 'node:fs';
import { test } from 'tap';
import { bootVmHost, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();

test('poweroff presses the power button first, and guests end by themselves', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  // Were it not the guest that ended first, the VMM would be killed; how it ended is printed.
  await host.sh(`
    define demo await-power-button
    mkdir -p /etc/systemd/system/microvm@demo.service.d
    cat > /etc/systemd/system/microvm@demo.service.d/tell.conf << 'TELL'
[Service]
KillSignal=SIGKILL
StandardOutput=journal+console
ExecStopPost=/bin/sh -c 'echo "VMM: $SERVICE_RESULT, $EXIT_CODE $EXIT_STATUS"'
TELL
    systemctl daemon-reload; systemctl start microvm@demo
    eventually 'console demo | grep -q "END OF OEM"'`);
  const startedMs = Date.now();
  await host.powerOff();
  t.ok(Date.now() - startedMs < 60_000, 'nobody waited for a deadline');
  const text = host.consoleText();
  const stopped = text.search(/Stopped .*microvm@demo/);
  const daemonStopped = text.search(/Stopped .*vmsecretd\.service/);
  t.ok(stopped >= 0 && daemonStopped > stopped, 'the VM stops before the daemon');
  t.match(text, /VMM: success, exited 0/, 'the guest ended, and its VMM by itself');
  t.notMatch(text, /Failed .*microvm@demo/);
});

// No KVM and no tap in the daemon's own sandbox: the stand-in needs neither.
const DEFINE_CHILD = `
  printf '#!/bin/sh\\nexec node --jitless /project/dist/test/stand-ins/cloud-hypervisor.js cloud-hypervisor "$@"\\n' > /usr/local/bin/cloud-hypervisor
  sed -i '2i[ "$1" != --version ] || { echo cloud-hypervisor v53.0.0; exit; }' /usr/local/bin/cloud-hypervisor
  chmod 755 /usr/local/bin/cloud-hypervisor
  define child await-power-button
  sed -i 's/"credentials"/"supervisor": "daemon", "credentials"/' /etc/vmsecretd/vms/child.json
  echo '{"identities": ["/etc/vmsecretd/identity"], "hypervisors": {"cloud-hypervisor": {"path": "/usr/local/bin/cloud-hypervisor"}}}' \\
    > /etc/vmsecretd/config.json
  systemctl start vmsecretd
  vmsecretctl start child > /dev/null`;

test('poweroff asks the guests of VMs without a unit, too', { skip, timeout: 180_000 }, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    mkdir -p /etc/systemd/system/vmsecretd.service.d
    printf '[Service]\\nStandardOutput=journal+console\\n' > /etc/systemd/system/vmsecretd.service.d/console.conf
    systemctl daemon-reload
    ${DEFINE_CHILD}`);
  await host.powerOff();
  const text = host.consoleText();
  t.match(text, /"step":"power-button"/);
  t.match(text, /"vm":"child".*"status":0,"signal":null.*exit/, 'the guest powered off by itself');
});

test('what the sandbox of the daemon keeps from its children is refused before anything is stopped', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(DEFINE_CHILD);
  const refused = await host.sh(`
    sed -i 's/"supervisor"/"user": "nobody", "supervisor"/' /etc/vmsecretd/vms/child.json
    vmsecretctl reload
    vmsecretctl check child
    vmsecretctl restart child 2>&1
    vm_state child`);
  t.match(refused, /may not run its VMM as user nobody, because it has no CAP_SETUID/);
  t.match(refused, /running$/);
  const hidden = await host.sh(`
    cp /bin/true /usr/local/bin/qemu-system-x86_64
    cat > /etc/vmsecretd/vms/qemu.json << 'DEFINITION'
{ "hypervisor": "qemu", "supervisor": "daemon", "command": ["-enable-kvm", "-nic", "tap,ifname=tap9"] }
DEFINITION
    vmsecretctl reload > /dev/null
    ! vmsecretctl check qemu 2>&1`);
  for (const device of ['net/tun', 'kvm'].filter(name => existsSync(`/dev/${name}`)))
    t.match(hidden, new RegExp(`/dev/${device} is hidden from vmsecretd.*"supervisor": "unit"`));
  t.match(
    await host.sh('! /project/systemd/install.sh --uninstall 2>&1'),
    /which no unit supervises, still run: child\./,
  );
});

test('uninstalling refuses while a VM runs, keeps the state, and purging does not', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh('define demo await-power-button; systemctl start microvm@demo');
  t.match(await host.sh('! /project/systemd/install.sh --uninstall 2>&1'), /microvm@demo\.service/);
  t.match(
    await host.sh('systemctl stop microvm@demo; /project/systemd/install.sh --uninstall'),
    /\/var\/lib\/vmsecretd stay/,
  );
  const left =
    'find /usr/local /etc/systemd /run -maxdepth 6 -name "*vmsecretd*" -not -name vmsecretd-test.service -not -path "/run/systemd/*"';
  t.equal(await host.sh(left), '');
  t.equal(
    await host.sh('systemctl is-active vmsecretd.socket; ls -d /var/lib/vmsecretd /etc/vmsecretd'),
    'inactive\n/etc/vmsecretd\n/var/lib/vmsecretd',
  );
  await host.sh('/project/systemd/install.sh --uninstall --purge');
  t.equal(await host.sh('ls -d /var/lib/vmsecretd /etc/vmsecretd 2> /dev/null; true'), '/etc/vmsecretd');
});
