// Who may take part in the start of a unit's VM: other users of the host, and what the VMM's own user leaves for the daemon.
import { test } from 'tap';
import { bootVmHost, PRINTED_SECRET, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();

test('no other user of the host reaches what starts a VM, and a storm of one changes nothing', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  const reached = await host.sh(`
    define demo await-power-button; systemctl start microvm@demo
    find /run/vmsecretd -type s > /tmp/sockets; wc -l < /tmp/sockets > /tmp/count
    while read -r socket; do
      if runuser -u nobody -- curl --silent --max-time 5 --unix-socket "$socket" http://localhost/ > /dev/null; then echo "reached $socket"; fi
    done < /tmp/sockets
    runuser -u nobody -- find /run/vmsecretd -writable 2> /dev/null
    cat /tmp/count`);
  t.ok(Number(reached) >= 3, `none of the sockets is reached: ${reached}`);

  const after = await host.sh(`
    cat > /tmp/storm << 'STORM'
until [ -e /tmp/calm ]; do
  for socket in admin vmsecretd api/demo; do curl --silent --max-time 1 --unix-socket "/run/vmsecretd/$socket.sock" http://localhost/ > /dev/null; done
done
STORM
    for count in 1 2 3 4; do runuser -u nobody -- sh /tmp/storm & done
    for count in 1 2 3; do systemctl restart microvm@demo || echo "failed start $count"; done
    touch /tmp/calm; wait
    states demo; unit demo NRestarts; systemctl show vmsecretd --property NRestarts --value`);
  t.equal(after, 'active running\n0\n0');
});

test('a launcher that nothing prepared becomes nothing, whoever starts it', {
  skip,
  timeout: 240_000,
}, async t => {
  const host = await bootVmHost(t);
  const { status, output } = await host.run(`
    mkdir -p /etc/vmsecretd/vms
    cd / && runuser -u microvm -- /usr/local/bin/vmsecretd-launch demo`);
  t.match(
    { status, output },
    { status: 1, output: /VM demo: this start was not prepared; the unit needs ExecStartPre=/ },
  );
  const again = await host.run(`runuser -u microvm -- /usr/local/bin/vmsecretd-launch --prepare demo`);
  t.match(again, { status: 1, output: /VM demo: / }, 'it may not ask the daemon');
});

test('what the user of a VMM leaves in place of its command line leads the daemon nowhere', {
  skip,
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  // The program in the launcher's place writes the file once more, as a launcher that was taken over can.
  const said = await host.sh(`
    define demo await-power-button
    cat > /usr/local/bin/liar << 'LIAR'
#!/bin/sh
rm -f /run/vmsecretd/vms/demo/command
case $(cat /var/lib/microvms/demo/lie) in
  link) ln -s /etc/shadow /run/vmsecretd/vms/demo/command ;;
  fifo) mkfifo /run/vmsecretd/vms/demo/command ;;
  cut) printf 'cloud-hypervisor\\0--kern' > /run/vmsecretd/vms/demo/command ;;
esac
exec /usr/bin/cloud-hypervisor --api-socket fd=3
LIAR
    chmod 755 /usr/local/bin/liar
    mkdir -p /etc/systemd/system/microvm@demo.service.d /var/lib/microvms/demo
    printf '[Service]\\nRestart=no\\nExecStart=\\nExecStart=/usr/local/bin/liar\\n' \\
      > /etc/systemd/system/microvm@demo.service.d/liar.conf
    systemctl daemon-reload; systemctl start vmsecretd
    for lie in link fifo cut; do
      echo $lie > /var/lib/microvms/demo/lie
      ! systemctl start microvm@demo 2> /dev/null || echo "started with $lie"
      vmsecretctl show demo --json | grep -o '"detail": *"[^"]*"' | head -n 1
      states demo; vmm_count
    done`);
  const lines = said.split('\n');
  for (const [index, reason] of ['ELOOP', 'is not a regular file', 'is cut short'].entries()) {
    t.match(lines[index * 3], reason);
    t.strictSame(lines.slice(index * 3 + 1, index * 3 + 3), ['failed failed', '0']);
  }
  t.notMatch(await host.sh('console demo'), PRINTED_SECRET, 'no guest was booted');
});
