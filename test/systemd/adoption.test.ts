// The daemon comes and goes, in order and not, while VMs run, start and stop: no VM notices, none is doubled.

import { test } from 'tap';
import { bootVmHost, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();
const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 4);

test('VMs outlive the daemon, and the next one takes them over', { skip, timeout: 240_000 }, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    set -e
    mkdir -p /etc/systemd/system/vmsecretd.service.d
    printf '[Service]\\nWatchdogSec=3\\n' > /etc/systemd/system/vmsecretd.service.d/watchdog.conf
    systemctl daemon-reload
    define demo await-power-button
    systemctl start microvm@demo
    unit demo MainPID > /tmp/vmm`);
  const isAdopted = `eventually '[ "$(states demo)" = "active running" ]'
    [ "$(unit demo MainPID)" = "$(cat /tmp/vmm)" ] && vmm_count`;

  await t.test('when it is restarted', async t => {
    t.equal(await host.sh(`systemctl restart vmsecretd; ${isAdopted}`), '1');
  });

  await t.test('when it is killed', async t => {
    const script = `
      systemctl kill --kill-whom=main --signal=KILL vmsecretd
      eventually '[ "$(systemctl show vmsecretd --property NRestarts --value)" = 1 ]'
      eventually 'systemctl is-active --quiet vmsecretd'`;
    t.equal(await host.sh(`${script}; ${isAdopted}`), '1');
  });

  await t.test('when it hangs, until the watchdog acts', async t => {
    const script = `
      systemctl kill --kill-whom=main --signal=STOP vmsecretd
      eventually '[ "$(systemctl show vmsecretd --property NRestarts --value)" = 2 ]'
      eventually 'systemctl is-active --quiet vmsecretd'`;
    t.equal(await host.sh(`${script}; ${isAdopted}`), '1');
    t.match(await host.sh('journalctl --unit vmsecretd --output cat'), /Watchdog timeout/);
  });

  await t.test('when it is stopped; the first question starts it again', async t => {
    await host.sh('systemctl stop vmsecretd');
    t.equal(
      await host.sh('systemctl is-active vmsecretd vmsecretd.socket; vmm_count'),
      'inactive\nactive\n1',
    );
    t.equal(await host.sh(isAdopted), '1');
    t.equal(await host.sh('systemctl is-active vmsecretd'), 'active');
  });

  await t.test('and one whose guest went with the daemon is started again', async t => {
    // As a reset that fails after the daemon has ended.
    const after = await host.sh(`
      systemctl stop vmsecretd
      curl --silent --request PUT --unix-socket /run/vmsecretd/api/demo.sock http://localhost/api/v1/vm.shutdown
      systemctl start vmsecretd
      eventually '[ "$(unit demo MainPID)" != "$(cat /tmp/vmm)" ] && [ "$(states demo)" = "active running" ]'
      unit demo MainPID > /tmp/vmm
      curl --silent --unix-socket /run/vmsecretd/api/demo.sock http://localhost/api/v1/vm.info | grep -o '"state":"Running"'`);
    t.equal(after, '"state":"Running"');
  });

  await t.test('and an adopted VMM that ends is noticed', async t => {
    await host.sh(`kill -KILL "$(cat /tmp/vmm)"; eventually '[ "$(vm_state demo)" = failed ]'`);
    await host.sh(`eventually '[ "$(states demo)" = "active running" ]'`);
    t.equal(
      await host.sh('vmm_count; systemctl stop microvm@demo; states demo; vmm_count'),
      '1\ninactive stopped\n0',
    );
  });

  await t.test('and what keeps one from starting is an error of the journal', async t => {
    const errors = await host.sh(`
      cp /etc/vmsecretd/config.json /tmp/config.json
      echo '{' > /etc/vmsecretd/config.json
      systemctl restart vmsecretd 2> /dev/null
      cp /tmp/config.json /etc/vmsecretd/config.json
      journalctl --unit vmsecretd --priority err --output cat --grep 'vmsecretd: '`);
    t.match(errors, /config\.json is not JSON/);
  });
});

test('a daemon that is lost while a VM stops is back before that VM is down', {
  skip,
  timeout: 240_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh('define demo stay; systemctl start microvm@demo');
  // This guest hears no power button: its stop waits.
  await host.sh(`
    systemctl stop --no-block microvm@demo
    eventually '[ "$(states demo)" = "deactivating stopping" ]'
    systemctl kill --kill-whom=main --signal=KILL vmsecretd
    eventually '[ "$(states demo)" = "deactivating stopping" ]'
    systemctl kill --kill-whom=main --signal=KILL microvm@demo
    eventually 'systemctl show microvm@demo --property MainPID --value | grep -qx 0'`);
  t.equal(await host.sh('vmm_count'), '0');
});

test('a VM that is booted while its unit still starts is taken over as running', {
  skip,
  timeout: 240_000,
}, async t => {
  const host = await bootVmHost(t);
  // Before the unit is active, the launcher's --wait asks the daemon; here it has to wait with that.
  await host.sh(`
    define demo await-power-button
    mkdir -p /etc/systemd/system/microvm@demo.service.d
    printf '[Service]\\nExecStartPost=\\nExecStartPost=+/bin/sh -c "until [ -e /run/ask ]; do sleep 0.1; done"\\n' \
      > /etc/systemd/system/microvm@demo.service.d/late.conf
    printf 'ExecStartPost=+/usr/local/bin/vmsecretd-launch --wait %%i\\n' >> /etc/systemd/system/microvm@demo.service.d/late.conf
    systemctl daemon-reload
    systemctl start --no-block microvm@demo
    eventually '[ "$(states demo)" = "activating running" ]'
    unit demo MainPID > /tmp/vmm
    systemctl kill --kill-whom=main --signal=KILL vmsecretd
    eventually '[ "$(systemctl show vmsecretd --property NRestarts --value)" = 1 ]'
    eventually '[ "$(states demo)" = "activating running" ]'
    touch /run/ask
    eventually '[ "$(states demo)" = "active running" ]'
    [ "$(unit demo MainPID)" = "$(cat /tmp/vmm)" ]`);
  t.equal(await host.sh('vmm_count'), '1');
});

test(`a daemon killed ${ROUNDS} times in the middle of starts and stops loses and doubles none`, {
  skip,
  timeout: 240_000 + ROUNDS * 30_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    define demo await-power-button; define other await-power-button; define steady stay
    systemctl start microvm@steady; unit steady MainPID > /tmp/steady`);
  for (let round = 0; round < ROUNDS; round += 1) {
    // From the moment of the request to some time after its usual end, another one in each round.
    const delaySeconds = (((round * 13) % 40) * 0.025 + 0.02).toFixed(3);
    const verb = round % 2 === 0 ? 'start' : 'stop';
    const expected = verb === 'start' ? 'active running' : 'inactive stopped';
    const script = `
      systemctl ${verb} --no-block microvm@demo microvm@other
      sleep ${delaySeconds}
      systemctl kill --kill-whom=main --signal=KILL vmsecretd
      eventually '[ "$(states demo)" = "${expected}" ] && [ "$(states other)" = "${expected}" ]' 60
      vmm_count`;
    t.equal(
      await host.sh(script, { deadlineMs: 120_000 }),
      verb === 'start' ? '3' : '1',
      `${verb}, killed after ${delaySeconds} s`,
    );
  }
  t.equal(
    await host.sh(
      'states steady; [ "$(unit steady MainPID)" = "$(cat /tmp/steady)" ] && unit steady NRestarts',
    ),
    'active running\n0',
    'the VM beside them never noticed',
  );
});
