// A command line that passes an open network device, as microvm.nix does for macvtap: the launcher holds it until the VM is
// created. The stand-in cannot take a descriptor, so this wants the real program.
import { test } from 'tap';
import { bootVmHost, PRINTED_SECRET, whyNoRealVmHost } from './vm-host.js';

// TUNSETIFF with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR (linux/if_tun.h), then the launcher with the device as descriptor 3, which --hold has freed.
const RUNNER = `#!/usr/bin/perl
use POSIX ();
open(my $tun, '+<', '/dev/net/tun') or die "tun: $!";
my $request = pack('Z16 s x22', 'vm-demo', 0x5002);
ioctl($tun, 0x400454ca, $request) or die "TUNSETIFF: $!";
# perl opens it as close-on-exec, and may have it as 3 already.
POSIX::dup2(fileno($tun), 4) and POSIX::dup2(4, 3) or die "dup2: $!";
exec('/usr/local/bin/vmsecretd-launch', 'demo', '--',
  qw(--kernel /opt/guests/await-power-button --memory size=64M --serial tty --console off),
  '--net', 'fd=[3],mac=02:00:00:00:00:01', '--api-socket', 'demo.sock');
`;

test('a network device that a runner opened reaches the guest, with the secrets', {
  skip: whyNoRealVmHost(),
  timeout: 180_000,
}, async t => {
  const host = await bootVmHost(t);
  await host.sh(`
    set -e
    cat > /usr/local/bin/microvm-run << 'RUNNER'
${RUNNER}RUNNER
    chmod 755 /usr/local/bin/microvm-run
    mkdir -p /etc/vmsecretd/vms /etc/systemd/system/microvm@demo.service.d
    echo '{"credentials": {"API_KEY": {"age": "/etc/secrets/api-key.age"}}}' > /etc/vmsecretd/vms/demo.json
    printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/vmsecretd-launch --hold demo -- /usr/local/bin/microvm-run\n' \
      > /etc/systemd/system/microvm@demo.service.d/runner.conf
    ip tuntap add dev vm-demo mode tap user microvm vnet_hdr
    ip link set vm-demo up
    systemctl daemon-reload
    systemctl start vmsecretd microvm@demo || { console demo; false; }`);

  await host.sh(`eventually 'console demo | grep -qxF "${PRINTED_SECRET}"'`);
  const info = JSON.parse(await host.sh('ch-remote --api-socket /var/lib/microvms/demo/demo.sock info'));
  t.match(
    info.config.net,
    [{ mac: '02:00:00:00:00:01' }],
    'the device is there, by the link to the API socket',
  );
  t.equal(info.state, 'Running');
});
