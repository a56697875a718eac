// Lying launchers on a real systemd get nothing, and the VM does not notice.

import { test } from 'tap';
import { bootVmHost, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();

test('only the main process of the VM’s own unit is launched, once', { skip, timeout: 180_000 }, async t => {
  const host = await bootVmHost(t);
  await host.sh('define demo stay; define other stay; systemctl start microvm@demo');
  const before = await host.sh('unit demo MainPID');
  // As the VMM's user, which may ask; answers with the status and the words.
  const ask = (vm: string, pid: string) => `
    setpriv --reuid microvm --regid microvm --clear-groups curl --silent --unix-socket /run/vmsecretd/launch.sock \
      --header 'Content-Type: application/json' --data "{\\"pid\\": ${pid}}" --write-out ' %{http_code}\\n' \
      http://localhost/v1/vms/${vm}/launch`;

  const lies: Record<string, string> = {
    'its own pid, which is curl’s': `sh -c '${ask('demo', '$$').replaceAll("'", "'\\''")}'`,
    'the pid of the running VMM': ask('demo', '"$(unit demo MainPID)"'.replaceAll('"', '')),
    'another VM’s pid': ask('other', '$(unit demo MainPID)'),
    'the pid of another unit’s process': ask('demo', '$(systemctl show dbus --property MainPID --value)'),
    'a pid that is not there': ask('demo', '4000000'),
    'a copied command line outside the unit': `
      setpriv --reuid microvm --regid microvm --clear-groups /usr/local/bin/vmsecretd-launch demo 2>&1; echo " 403 by $?"`,
    'a copied command line in another VM’s unit': `
      mkdir -p /run/systemd/system/microvm@other.service.d
      printf '[Service]\\nExecStart=\\nExecStart=/usr/local/bin/vmsecretd-launch demo\\nExecStartPost=\\nRestart=no\\n' \
        > /run/systemd/system/microvm@other.service.d/lie.conf
      systemctl daemon-reload
      systemctl start microvm@other
      eventually '[ "$(unit other ActiveState)" = failed ]'
      console other | grep vmsecretd-launch:; echo ' 403'`,
  };
  for (const [lie, script] of Object.entries(lies)) {
    await t.test(`not ${lie}`, async t => {
      const answer = await host.sh(script);
      t.match(answer, / 403/);
      t.match(answer, /this launch is refused/);
      t.notMatch(answer, /exec |api\.sock/);
    });
  }
  t.equal(await host.sh('states demo; vmm_count'), 'active running\n1');
  t.equal(await host.sh('unit demo MainPID'), before);
});
