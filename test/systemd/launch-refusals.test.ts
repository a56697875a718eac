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

  const lies: Record<string, [script: string, why: string]> = {
    'its own pid, which is curl’s': [
      `sh -c '${ask('demo', '$$').replaceAll("'", "'\\''")}'`,
      'does not run in microvm@demo.service',
    ],
    'the pid of the running VMM': [
      ask('demo', '"$(unit demo MainPID)"'.replaceAll('"', '')),
      'is its VMM already',
    ],
    'another VM’s pid': [ask('other', '$(unit demo MainPID)'), 'does not run in microvm@other.service'],
    'the pid of another unit’s process': [
      ask('demo', '$(systemctl show dbus --property MainPID --value)'),
      'does not run in microvm@demo.service',
    ],
    'a pid that is not there': [ask('demo', '4000000'), 'there is no process 4000000'],
    'a copied command line outside the unit': [
      `
      setpriv --reuid microvm --regid microvm --clear-groups /usr/local/bin/vmsecretd-launch demo 2>&1; echo " 403 by $?"`,
      'does not run in microvm@demo.service',
    ],
    // As a guest would that has broken out of its VMM.
    'a copied command line in the VM’s own unit': [
      `
      sh -c 'for root in "" /systemd /unified; do
          procs="/sys/fs/cgroup$root$(systemctl show microvm@demo --property ControlGroup --value)/cgroup.procs"
          [ ! -e "$procs" ] || echo $$ > "$procs"
        done
        exec setpriv --reuid microvm --regid microvm --clear-groups /usr/local/bin/vmsecretd-launch demo 2>&1' || echo " 403"`,
      'is not the main process of microvm@demo.service',
    ],
    'a copied command line in another VM’s unit': [
      `
      mkdir -p /run/systemd/system/microvm@other.service.d
      printf '[Service]\\nExecStart=\\nExecStart=/usr/local/bin/vmsecretd-launch demo\\nExecStartPost=\\nRestart=no\\n' \
        > /run/systemd/system/microvm@other.service.d/lie.conf
      systemctl daemon-reload
      systemctl start microvm@other
      eventually '[ "$(unit other ActiveState)" = failed ]'
      console other | grep vmsecretd-launch:; echo ' 403'`,
      'does not run in microvm@demo.service',
    ],
  };
  for (const [lie, [script, why]] of Object.entries(lies)) {
    await t.test(`not ${lie}`, async t => {
      const answer = await host.sh(script);
      t.match(answer, / 403/);
      t.match(answer, /this launch is refused: /);
      t.match(answer, why);
      t.notMatch(answer, /exec |api\.sock/);
    });
  }
  t.equal(await host.sh('states demo; vmm_count'), 'active running\n1');
  t.equal(await host.sh('unit demo MainPID'), before);
});

// curl in the launcher's place waits until told, so that somebody else can be first.
const LATE_CURL = `
  mkdir -p /opt/late /etc/systemd/system/microvm@demo.service.d
  printf '#!/bin/sh\\nuntil [ -e /opt/late/go ]; do sleep 0.05; done\\nexec /usr/bin/curl "$@"\\n' > /opt/late/curl
  chmod 755 /opt/late/curl
  printf '[Service]\\nEnvironment=PATH=/opt/late:/usr/bin:/bin\\n' > /etc/systemd/system/microvm@demo.service.d/late.conf
  systemctl daemon-reload`;
const ASK_AS_NOBODY = `setpriv --reuid nobody --regid nogroup --clear-groups curl --silent \
  --unix-socket /run/vmsecretd/launch.sock --header 'Content-Type: application/json' --header 'Accept: text/plain' \
  --data "{\\"pid\\": $(unit demo MainPID)}" http://localhost/v1/vms/demo/launch`;

test('who names a launcher before it asks does not keep it from its VM', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`define demo stay; ${LATE_CURL}; systemctl start vmsecretd; systemctl start --no-block microvm@demo
    eventually '[ "$(ps -o args= -p "$(unit demo MainPID)")" = "/bin/sh /usr/local/bin/vmsecretd-launch demo" ]'`);
  const first = await host.sh(`
    for attacker in 1 2 3; do ${ASK_AS_NOBODY} > /tmp/answer.$attacker & done
    wait
    cat /tmp/answer.1; cmp /tmp/answer.1 /tmp/answer.2; cmp /tmp/answer.1 /tmp/answer.3`);
  t.match(first, /^exec .*\nend$/s, 'all of them hear the one answer, which holds no secret');
  t.equal(await host.sh('states demo'), 'activating starting');
  await host.sh(`touch /opt/late/go; eventually '[ "$(states demo)" = "active running" ]'`);
  t.equal(await host.sh('vmm_count; unit demo NRestarts'), '1\n0');
  t.match(await host.sh(ASK_AS_NOBODY), /this launch is refused/, 'the VMM is no launcher any more');
});

test('who names a launcher whose secret is missing causes no second attempt', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`define demo stay; ${LATE_CURL}; mv /etc/secrets/api-key.age /etc/secrets/away
    systemctl start vmsecretd; systemctl start --no-block microvm@demo
    eventually '[ "$(ps -o args= -p "$(unit demo MainPID)")" = "/bin/sh /usr/local/bin/vmsecretd-launch demo" ]'`);
  const answers = await host.sh(`${ASK_AS_NOBODY}; echo; ${ASK_AS_NOBODY}; touch /opt/late/go
    eventually 'launcher_lines demo API_KEY | grep -q .'`);
  t.match(answers, /API_KEY.*\n.*API_KEY/);
  t.equal(await host.sh('journalctl --unit vmsecretd --output cat | grep -c \'"state":"starting"\''), '1');
});
