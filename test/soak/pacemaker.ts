// docs/pacemaker.md on three nodes: containers with a real corosync and Pacemaker. The node with the VM loses its power, and the VM
// starts on another one with its secret. There is no fencing here: the node that is lost is really gone.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { readBlock } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';
import { bootVmHost, PRINTED_SECRET, SECRET, type VmHost, whyNoVmHost } from '../systemd/vm-host.js';

const PAGE = 'docs/pacemaker.md';
const skip = whyNoVmHost() || whyNotOnPath('ip') || whyNotOnPath('nsenter');
const NODES = ['node1', 'node2', 'node3'];
const PACKAGES = ['pacemaker', 'corosync', 'crmsh', 'openssh-client'];
const TIMEOUT_MS = 900_000;

const COROSYNC = `
totem {
  version: 2
  cluster_name: vms
  transport: knet
}
nodelist {
${NODES.map(
  (name, index) => `  node {
    ring0_addr: 10.0.0.${index + 1}
    name: ${name}
    nodeid: ${index + 1}
  }`,
).join('\n')}
}
quorum {
  provider: corosync_votequorum
}
system {
  sched_rr: no
}
logging {
  to_syslog: yes
}
`;

/** A network namespace of this test's own, with a bridge that joins the nodes. */
function makeNetwork(t: Test): { namespace: string; name: string } {
  const namespace = `vmsd-${randomBytes(4).toString('hex')}`;
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('netns', 'add', namespace);
  t.teardown(() => void ip('netns', 'delete', namespace));
  ip('-n', namespace, 'link', 'add', 'br0', 'type', 'bridge');
  ip('-n', namespace, 'link', 'set', 'br0', 'up');
  return { namespace, name: 'br0' };
}

test('a VM whose node is lost starts on another one, with its secret', {
  skip,
  timeout: TIMEOUT_MS,
}, async t => {
  const network = makeNetwork(t);
  const began = performance.now();
  const note = (text: string) => t.comment(`${((performance.now() - began) / 1000).toFixed(1)} s: ${text}`);
  const hosts: VmHost[] = [];
  // One after another: three boots at once starve each other.
  for (const name of NODES) hosts.push(await bootNode(t, name, network));
  const [first] = hosts as [VmHost, ...VmHost[]];
  note('three nodes are booted');

  const keys = await Promise.all(hosts.map(host => host.sh('cat /etc/ssh/ssh_host_ed25519_key.pub')));
  const encrypt = readBlock(PAGE, 'age -R').trim();
  const sealed = await first.sh(`
    cd /etc/secrets; ${keys.map((key, index) => `echo '${key}' > node${index + 1}.pub`).join('; ')}
    printf '%s' '${SECRET}' | ${encrypt} && base64 -w 0 api-key.age`);
  for (const host of hosts)
    await host.sh(`
      printf '%s' '${sealed}' | base64 -d > /etc/secrets/api-key.age
      systemctl --quiet enable --now vmsecretd; vmsecretctl reload; vmsecretctl check web
      systemctl start corosync pacemaker || { journalctl --unit corosync --no-pager | tail -n 20; exit 1; }`);
  await first.sh(`eventually 'crm status | grep -q "Online:.*node1 node2 node3"' 180`, {
    deadlineMs: 240_000,
  });
  note('the cluster has all of them');
  const configure = readBlock(PAGE, 'sudo crm configure').replace('sudo ', '');
  await first.sh(`crm configure property stonith-enabled=false\n${configure}`, { deadlineMs: 120_000 });
  const before = await untilRuns(hosts);
  note(`the VM runs on ${before.name} with its secret`);
  t.match(
    await before.host.sh('systemctl show -p Restart --value microvm@web'),
    'no',
    'Pacemaker restarts it',
  );

  await before.host.cutPower();
  const cut = performance.now();
  note(`${before.name} has lost its power`);
  const left = hosts.filter(host => host !== before.host);
  const after = await untilRuns(left);
  note(
    `the VM runs on ${after.name} with its secret, ${((performance.now() - cut) / 1000).toFixed(1)} s later`,
  );
  const others = left.filter(host => host !== after.host);
  for (const other of others) t.equal(await other.sh('vmm_count'), '0', 'it runs once');
  for (const line of (await after.host.sh('crm status')).split('\n')) t.comment(line);

  const invocation = await after.host.sh('unit web InvocationID');
  const restart = readBlock(PAGE, 'sudo crm resource').replace('sudo ', '');
  await after.host.sh(restart, { deadlineMs: 400_000 });
  await after.host.sh(`eventually '[ "$(states web)" = "active running" ]' 120`, { deadlineMs: 150_000 });
  t.not(await after.host.sh('unit web InvocationID'), invocation, 'Pacemaker has restarted it');
});

async function bootNode(
  t: Test,
  name: string,
  network: { namespace: string; name: string },
): Promise<VmHost> {
  const address = `10.0.0.${NODES.indexOf(name) + 1}`;
  const host = await bootVmHost(t, {}, undefined, { packages: PACKAGES, bridge: network });
  await host.sh(`
    # Debian starts both at boot, as a cluster of one.
    systemctl stop pacemaker corosync; rm -rf /var/lib/pacemaker/cib/* /var/lib/corosync/*
    hostname ${name}; echo ${name} > /etc/hostname
    ip address add ${address}/24 dev host0; ip link set host0 up
    ${NODES.map((node, index) => `echo 10.0.0.${index + 1} ${node} >> /etc/hosts`).join('; ')}
    mkdir -p /etc/ssh; rm -f /etc/ssh/ssh_host_ed25519_key*
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
    # The identity that the daemon has unless it is told of others.
    echo '{}' > /etc/vmsecretd/config.json
    define web await-power-button
    cat > /etc/corosync/corosync.conf << 'CONFIGURATION'
${COROSYNC}
CONFIGURATION`);
  return host;
}

/** The only node on which systemd runs the VM, once its guest has printed the secret. */
async function untilRuns(hosts: readonly VmHost[]): Promise<{ host: VmHost; name: string }> {
  for (;;) {
    for (const host of hosts) {
      const printed = await host.sh(`[ "$(unit web ActiveState)" != active ] || console web`);
      if (printed.includes(PRINTED_SECRET)) return { host, name: await host.sh('hostname') };
    }
    await delay(500);
  }
}
