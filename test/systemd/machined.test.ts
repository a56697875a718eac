// VMs of units as systemd-machined knows them, and their metrics, from inside the sandboxes.
import { test } from 'tap';
import { readBlock } from '../setup/pages.js';
import { bootVmHost, type VmHost, whyNoRealVmHost, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();
const real = whyNoRealVmHost();

test('machinectl, and metrics', { skip, timeout: 600_000 }, async t => {
  const host = await bootVmHost(t, {}, undefined, { packages: ['systemd-container'] });
  await host.sh(`
    ip tuntap add dev vm-web mode tap user microvm; ip link set vm-web up
    install -d -o microvm -m 700 /var/lib/microvms/web
    truncate --size 1M /var/lib/microvms/web/disk.raw; chown microvm /var/lib/microvms/web/disk.raw
    define web await-power-button ', "--disk", "path=/var/lib/microvms/web/disk.raw,image_type=raw", "--net", "tap=vm-web"'
    systemctl --quiet enable --now vmsecretd.service; systemctl start microvm@web`);

  t.test('a VM is a machine of its unit, whose leader may do nothing but ask systemd', async t => {
    t.match(await host.sh('machinectl --no-legend list'), /^web vm vmsecretd/);
    t.match(await host.sh('machinectl status --no-pager web'), /Unit: microvm@web.service/);
    const leader = await host.sh(
      'grep -E "^(Uid|CapEff|CapBnd|NoNewPrivs)" /proc/$(machinectl show -p Leader --value web)/status',
    );
    t.equal(
      leader.replaceAll('\t', ' '),
      'Uid: 0 0 0 0\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\nNoNewPrivs: 1',
    );
  });

  t.test('machinectl reboot restarts it in order', async t => {
    t.equal(await restarted(host, 'machinectl reboot web'), 'active running');
    t.match(await host.sh('console web'), /stop: power-button/);
    t.equal(await host.sh('unit web NRestarts'), '0', 'nothing broke');
  });

  t.test('a VM whose VMM is killed has failed, and is a machine again once it is restarted', async t => {
    const killed = await host.sh(`
      systemctl kill --kill-who=main --signal=KILL microvm@web
      eventually '[ "$(vm_state web)" != running ]'; vm_state web`);
    t.equal(killed, 'failed');
    const again = await host.sh(`
      eventually '[ "$(states web)" = "active running" ]'
      [ "$(machinectl show -p Leader --value web)" = "$(pgrep -f 'vmsecretd-launch --lead')" ] && echo same`);
    t.equal(again, 'same', 'its leader is that of this run');
  });

  t.test(
    'metrics are served as docs/monitoring.md has it, with what the unit uses',
    { skip: real },
    async t => {
      const metrics = await host.sh(`
      mkdir -p /etc/systemd/system/vmsecretd.service.d
      cat > /etc/systemd/system/vmsecretd.service.d/metrics.conf << 'DROPIN'
${readBlock('docs/monitoring.md', '[Service]')}
DROPIN
      echo '{"identities": ["/etc/vmsecretd/identity"], "metrics": {"listen": "127.0.0.1:9101"}}' > /etc/vmsecretd/config.json
      systemctl daemon-reload; ip link set lo up; systemctl restart vmsecretd
      curl --silent http://127.0.0.1:9101/metrics | grep 'vm="web"'`);
      for (const line of [
        /^vmsecretd_vm_state\{vm="web",state="running"\} 1$/m,
        /^vmsecretd_vm_cpu_seconds_total\{vm="web",mode="user"\} 0?\.\d*[1-9]/m,
        /^vmsecretd_vm_vmm_answers\{vm="web"\} 1$/m,
        /^vmsecretd_vm_disk_reads_total\{vm="web",device="disk0"\} \d+$/m,
        /^vmsecretd_vm_network_receive_bytes_total\{vm="web",device="net1"\} \d+$/m,
      ])
        t.match(metrics, line);
    },
  );

  t.test('machinectl poweroff has the guest power off, and it stays down', async t => {
    const off = await host.sh(`
      machinectl poweroff web; eventually '[ "$(states web)" = "inactive stopped" ]' 120
      machinectl list --no-legend; unit web Result`);
    t.equal(off, 'success');
  });
});

/** Waits until the unit runs once more, in another run. */
function restarted(host: VmHost, command: string): Promise<string> {
  return host.sh(`
    before=$(unit web InvocationID); ${command}
    eventually '[ "$(unit web InvocationID)" != "$before" ] && [ "$(states web)" = "active running" ]' 120
    states web`);
}
