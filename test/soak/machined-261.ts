// machinectl of systemd 261 and later, which talks to vmsecretd by varlink. Debian's sid has one; it is not in npm test because
// sid changes from day to day.
import { test } from 'tap';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { bootVmHost, whyNoVmHost } from '../systemd/vm-host.js';

const DEBIAN = { suite: 'sid', packages: ['systemd-container'], hasUnifiedCgroups: true };
const BINDS = { '/usr/bin/node': process.execPath, '/project': PROJECT_ROOT };

test('machinectl controls a VM by its control socket', { skip: whyNoVmHost(), timeout: 900_000 }, async t => {
  const host = await bootVmHost(t, BINDS, undefined, DEBIAN);
  await host.sh(`
    install -d -o microvm -m 700 /var/lib/microvms/web
    define web await-power-button ', "--vsock", "cid=3,socket=/var/lib/microvms/web/vsock.sock"'
    systemctl --quiet enable --now vmsecretd.service; systemctl start microvm@web`);
  const facts = await host.sh('machinectl show web -p Leader -p SSHAddress -p Unit; unit web MainPID');
  const pid = facts.split('\n').at(-1);
  t.match(facts, `Leader=${pid}\n`, 'its leader is the VMM');
  t.match(facts, 'SSHAddress=vsock-mux//var/lib/microvms/web/vsock.sock');
  t.match(facts, 'Unit=microvm@web.service');
  const socket = '/run/vmsecretd/machines/web.sock';
  t.match(await host.sh(`varlinkctl introspect ${socket} io.systemd.MachineInstance`), 'method PowerOff');
  t.match(
    await host.sh(`
      machinectl pause web; eventually '[ "$(vm_state web)" = paused ]'
      varlinkctl call ${socket} io.systemd.MachineInstance.Describe '{}'
      machinectl resume web; eventually '[ "$(vm_state web)" = running ]'`),
    /"running" ?: ?false.*"status" ?: ?"paused"/s,
  );
  const restarted = await host.sh(`
    before=$(unit web InvocationID); machinectl reboot web
    eventually '[ "$(unit web InvocationID)" != "$before" ] && [ "$(states web)" = "active running" ]' 120
    systemctl restart vmsecretd
    machinectl poweroff web; eventually '[ "$(states web)" = "inactive stopped" ]' 120
    unit web Result; console web`);
  t.match(restarted, /^success\n/, 'after a restart of the daemon, too');
  t.match(restarted, /stop: power-button/);
});
