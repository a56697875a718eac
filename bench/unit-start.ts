// What a start costs where systemd runs the VMs: from `systemctl start` to the guest's first byte, against the same sandboxed
// unit that executes cloud-hypervisor itself, with the same credentials on its command line.
import { bootVmHost, whyNoRealVmHost } from '../test/systemd/vm-host.js';
import type { Bench, Goal } from './row.js';

const GOAL: Goal = { of: 'ratio', atMost: 1.3 };
const CREDENTIALS = 10;
/** Each start takes some 0.2 s, and as long again until the host is idle. */
const SHARE_OF_ROUNDS = 0.7;

// The unit without vmsecretd: no socket, no launcher, everything else as it is installed.
const PREPARE = `
set -e
mkdir -p /etc/vmsecretd/vms
credentials=
strings=
public=$(sed 's/.*: //' /tmp/public)
for number in $(seq ${CREDENTIALS}); do
  printf 'value of credential %s' "$number" | age --recipient "$public" --output "/etc/secrets/$number.age"
  credentials="$credentials\${credentials:+,}\\"KEY_$number\\": {\\"age\\": \\"/etc/secrets/$number.age\\"}"
  strings="$strings\${strings:+,}io.systemd.credential.binary:KEY_$number=$(printf 'value of credential %s' "$number" | base64 -w0)"
done
cat > /etc/vmsecretd/vms/ours.json << DEFINITION
{"command": ["--kernel", "/opt/guests/stay", "--memory", "size=64M", "--serial", "file=/var/lib/microvms/ours/out", "--console", "off"],
 "credentials": {$credentials}}
DEFINITION
unit=/usr/local/lib/systemd/system/microvm@.service
sed -e '/vmsecretd/d' "$unit" > /etc/systemd/system/bare@.service
sed -i "/^Type=/a ExecStart=/usr/bin/cloud-hypervisor --kernel /opt/guests/stay --memory size=64M --serial file=/var/lib/microvms/bare/out --console off --platform oem_strings=[$strings]" /etc/systemd/system/bare@.service
sed -i '/^\\[Service\\]/a TemporaryFileSystem=/var/lib/microvms:ro\\nBindPaths=/var/lib/microvms/%i' /etc/systemd/system/bare@.service
# More starts than systemd's limit of five in ten seconds.
for unit in microvm@ours.service vmsecretd-api@ours.socket bare@bare.service; do
  mkdir -p "/etc/systemd/system/$unit.d"
  printf '[Unit]\\nStartLimitIntervalSec=0\\n' > "/etc/systemd/system/$unit.d/limit.conf"
done
systemctl daemon-reload
systemctl start vmsecretd
`;

export async function benchUnitStart(bench: Bench): Promise<void> {
  const why = whyNoRealVmHost();
  if (why !== false) return bench.note(`skipped: ${why}`);
  const ends: (() => unknown)[] = [];
  try {
    const host = await bootVmHost({ teardown: end => void ends.unshift(end) });
    await host.sh(PREPARE);
    const rounds = Math.max(2, Math.round(bench.rounds * SHARE_OF_ROUNDS));
    const output = await host.sh(`node /project/dist/bench/time-units.js ${rounds}`, { deadlineMs: 600_000 });
    const { ours, bare, oursActive, bareActive } = JSON.parse(output.split('\n').at(-1) ?? '');
    const head = { unit: 'ms', against: 'the same unit without vmsecretd' } as const;
    const what = `first byte of a unit, ${CREDENTIALS} credentials`;
    bench.add({ ...head, what, goal: GOAL }, { ours, theirs: bare });
    bench.add({ ...head, what: 'systemctl start returns' }, { ours: oursActive, theirs: bareActive });
  } finally {
    for (const end of ends) await end();
  }
}
