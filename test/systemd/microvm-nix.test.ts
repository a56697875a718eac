// microvm.nix as it is: a microvm-run that it generated, started by its microvm@NAME, with what the NixOS module adds to both.
// test/fixtures/microvm-nix is what microvm.nix's runner (MIT, rev. 71beea0) makes of nixos-module/examples/runtime-secrets.nix,
// store paths by name, without its comments; VMSECRETD_MICROVM_RUN=FOLDER has the two files as they come out.

import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { buildPvhGuest } from '../guests/pvh/pvh-guest.js';
import { evaluate, missingNix } from '../nixos/nix.js';
import { bootVmHost, PRINTED_SECRET, whyNoVmHost } from './vm-host.js';

const FIXTURES = join(import.meta.dirname, '../../../test/fixtures/microvm-nix');
const GENERATED = process.env.VMSECRETD_MICROVM_RUN ?? FIXTURES;
const PRINTED_STATIC = 'io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888';

/** The unit of microvm.nix's host module, as far as one VM needs it. */
const TEMPLATE = `[Unit]
ConditionPathExists=/var/lib/microvms/%i/current/bin/microvm-run
[Service]
Type=notify
NotifyAccess=all
WorkingDirectory=/var/lib/microvms/%i
ExecStart=/var/lib/microvms/%i/current/bin/microvm-run
ExecStop=/var/lib/microvms/%i/current/bin/microvm-shutdown
TimeoutSec=60
Restart=always
RestartSec=5s
User=microvm
Group=kvm
LimitNOFILE=1048576
LimitMEMLOCK=infinity
`;

interface ModuleOutput {
  launcher: string;
  unit: {
    after: string[];
    requires: string[];
    wants: string[];
    serviceConfig: Record<string, string | number>;
  };
  isolation: Record<string, string | string[] | boolean>;
}

/** What the module makes of services.vmsecretd.microvms.my-app, by its own Nix files. */
async function evaluateModule(): Promise<ModuleOutput> {
  return (await evaluate(`{
    launcher = import (pure + "/launcher-text.nix") {
      name = "my-app"; shell = "/bin/bash"; launch = "/usr/local/bin/vmsecretd-launch";
    };
    unit = import (pure + "/../vm-unit.nix") { launch = "/usr/local/bin/vmsecretd-launch"; isNotify = true; };
    isolation = import (pure + "/isolation.nix") { stateDir = "/var/lib/microvms"; };
  }`)) as ModuleOutput;
}

function dropIn(
  { unit }: ModuleOutput,
  more: Record<string, string | number | string[] | boolean> = {},
): string {
  const settings = Object.entries({ ...unit.serviceConfig, ...more }).flatMap(([key, value]) =>
    [value].flat().map(one => `${key}=${one}`),
  );
  return `[Unit]\nAfter=${unit.after.join(' ')}\nRequires=${unit.requires.join(' ')}\nWants=${unit.wants.join(' ')}\n[Service]\n${settings.join('\n')}\n`;
}

/** A folder for /nix/store that has what microvm-run names: our launcher, a guest, Debian's programs. */
function buildStore(t: Test, { launcher }: ModuleOutput): string {
  const store = mkdtempSync(join(tmpdir(), 'vmsecretd-store-'));
  t.teardown(() => rmSync(store, { recursive: true, force: true }));
  chmodSync(store, 0o755);
  const bin = (name: string) => {
    const folder = join(store, name, 'bin');
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  const launcherBin = bin('stub-vmsecretd-launcher-my-app');
  writeFileSync(join(launcherBin, 'cloud-hypervisor'), launcher, { mode: 0o755 });
  symlinkSync('/usr/bin/ch-remote', join(launcherBin, 'ch-remote'));
  symlinkSync('/usr/bin/socat', join(bin('stub-socat'), 'socat'));
  symlinkSync('/usr/bin/curl', join(bin('stub-curl'), 'curl'));
  // util-linux has it from 2.39 on.
  writeFileSync(join(bin('stub-util-linux'), 'waitpid'), '#!/bin/sh\nexec tail --pid="$1" -f /dev/null\n', {
    mode: 0o755,
  });
  mkdirSync(join(store, 'stub-linux-dev'));
  writeFileSync(join(store, 'stub-linux-dev/vmlinux'), buildPvhGuest({ after: 'await-power-button' }));
  mkdirSync(join(store, 'stub-initrd'));
  writeFileSync(join(store, 'stub-initrd/initrd'), 'no initrd: this guest reads none\n');
  writeFileSync(join(store, 'stub-microvm-store-disk.erofs'), '');
  truncateSync(join(store, 'stub-microvm-store-disk.erofs'), 1 << 20);
  const runner = bin('stub-runner');
  for (const name of ['microvm-run', 'microvm-shutdown']) {
    cpSync(join(GENERATED, name), join(runner, name));
    chmodSync(join(runner, name), 0o755);
  }
  return store;
}

test('microvm-run as microvm.nix generates it starts a VM with its secrets', {
  skip: whyNoVmHost() || (await missingNix()),
  timeout: 240_000,
}, async t => {
  const module = await evaluateModule();
  const host = await bootVmHost(t, { '/nix/store': buildStore(t, module) });
  await host.sh(`
    set -e
    cat > /etc/systemd/system/microvm@.service << 'UNIT'
${TEMPLATE}UNIT
    mkdir -p /etc/vmsecretd/vms /etc/systemd/system/microvm@my-app.service.d /var/lib/microvms/my-app
    cat > /etc/systemd/system/microvm@my-app.service.d/overrides.conf << 'UNIT'
${dropIn(module)}UNIT
    echo '{"supervisor": "unit", "credentials": {"API_KEY": {"age": "/etc/secrets/api-key.age"}}}' \\
      > /etc/vmsecretd/vms/my-app.json
    ln -s /nix/store/stub-runner /var/lib/microvms/my-app/current
    chown -R microvm:kvm /var/lib/microvms
    systemctl daemon-reload
    systemctl start vmsecretd`);
  // As the guest's systemd does, by the VMM: what comes to port 8888 of the host. Again until it is heard, because systemd
  // knows a message's unit by its sender, and socat's child may have gone before it looks.
  const GUEST_NOTIFIES = `printf "READY=1\\nSTATUS=guest is up" | socat -t1 - UNIX-CONNECT:notify.vsock_8888`;
  const start = () =>
    host.sh(`
      systemctl start --no-block microvm@my-app
      eventually 'journalctl --output cat "_SYSTEMD_INVOCATION_ID=$(unit my-app InvocationID)" | grep -qxF "${PRINTED_SECRET}"'
      unit my-app ActiveState
      cd /var/lib/microvms/my-app
      eventually '${GUEST_NOTIFIES}; [ "$(unit my-app StatusText)" = "guest is up" ]'
      eventually '[ "$(states my-app)" = "active running" ]'`);

  await t.test('by hand it exits 1 and says how it is started', async t => {
    const { status, output } = await host.run(
      'cd /var/lib/microvms/my-app && setpriv --reuid microvm --regid kvm --init-groups current/bin/microvm-run',
    );
    t.match({ status, output }, { status: 1, output: /systemctl start microvm@my-app/ });
  });

  await t.test('by its unit the guest has the secret beside microvm.nix’s own string', async t => {
    t.equal(await start(), 'activating', 'microvm.nix’s unit waits for the guest');
    t.match(await host.sh('console my-app'), PRINTED_STATIC);
    t.equal(await host.sh('unit my-app StatusText'), 'guest is up', 'socat on port 8888 is left alone');
    t.match(JSON.parse(await host.sh('vmsecretctl show my-app --json')), {
      state: 'running',
      guestStatus: 'guest is up',
      exposed: false,
    });
    const arguments_ = await host.sh('tr "\\0" "\\n" < "/proc/$(unit my-app MainPID)/cmdline"');
    t.match(arguments_, '--api-socket');
    t.notMatch(arguments_, 'io.systemd.credential');
  });

  await t.test('what microvm.nix says to the API socket reaches the VMM', async t => {
    const vmInfo = await host.sh(`
      cd /var/lib/microvms/my-app
      curl --silent --unix-socket my-app.sock http://localhost/api/v1/vm.info`);
    t.equal(JSON.parse(vmInfo).state, 'Running');
    const remote = '/nix/store/stub-vmsecretd-launcher-my-app/bin/ch-remote';
    const { status, output } = await host.run(
      `[ -x ${remote} ] || exit 77; cd /var/lib/microvms/my-app && ${remote} --api-socket my-app.sock info`,
    );
    if (status !== 77) t.equal(JSON.parse(output).state, 'Running');
  });

  await t.test('microvm-shutdown presses the guest’s power button', async t => {
    const result = await host.sh(`
      systemctl stop microvm@my-app
      unit my-app Result; unit my-app ActiveState
      eventually '[ "$(vm_state my-app)" = stopped ]'`);
    t.equal(result, 'success\ninactive');
    t.match(await host.sh('systemctl show microvm@my-app -p ExecStop'), /status=0/);
  });

  await t.test('with isolate it runs the same and sees its own folders only', async t => {
    await host.sh(`
      set -e
      mkdir -p /var/lib/microvms/other
      cat > /etc/systemd/system/microvm@my-app.service.d/overrides.conf << 'UNIT'
${dropIn(module, module.isolation)}UNIT
      systemctl daemon-reload`);
    await start();
    const seen = await host.sh(`
      pid=$(unit my-app MainPID)
      touch /run/vmsecretd/api/other.sock
      ls "/proc/$pid/root/var/lib/microvms" "/proc/$pid/root/run/vmsecretd/vms" "/proc/$pid/root/run/vmsecretd/api"`);
    t.notMatch(seen, /other/);
    t.match(seen, /my-app\.sock/);
    t.equal(await host.sh('systemctl stop microvm@my-app 2>/dev/null; unit my-app Result'), 'success');
  });
});
