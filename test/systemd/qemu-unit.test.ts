// QEMU as the main process of a unit, in the sandbox of microvm@.service: PVH guests, a Debian guest, and the runner that microvm.nix
// generates for QEMU. QEMU emulates the CPU, so that all of it runs without KVM.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Canary } from '../canary.js';
import { consoleUnit } from '../guests/debian/guest-files.js';
import { buildGuestImage, writeInitramfs } from '../guests/debian/guest-image.js';
import { evaluate, missingNix, projectRoot } from '../nixos/nix.js';
import { bindQemu, whyNoQemu } from './bind-qemu.js';
import { bootVmHost, PRINTED_SECRET, type VmHost, whyNoVmHost } from './vm-host.js';

const FIXTURES = join(projectRoot, 'test/fixtures/microvm-nix-qemu');
const GUEST_MS = 240_000;
const CANARY = new Canary();
const READ = `GUEST read ${createHash('sha256').update(CANARY.text).digest('hex')}`;
const SHUTS_DOWN = 'GUEST shuts down';

/** As docs/systemd.md says for QEMU without KVM. */
const WITHOUT_KVM = '[Service]\nMemoryDenyWriteExecute=no\n';

/** The device may come later than the unit. */
const ON_POWER_BUTTON = `#!/bin/sh
until name=$(grep -lx 'Power Button' /sys/class/input/event*/device/name) && event=\${name#/sys/class/input/} &&
  [ -e "/dev/input/\${event%%/*}" ]; do sleep 1; done
exec 3< "/dev/input/\${event%%/*}"
echo GUEST awaits it
head -c 24 <&3 > /dev/null
echo GUEST power button
systemctl poweroff
`;

/** A Debian that reads the secret by LoadCredential=, and heeds the power button. */
async function buildDebian(t: Test): Promise<{ folder: string; kernel: string; initramfs: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-debian-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const image = await buildGuestImage(projectRoot);
  const files = [
    ...consoleUnit('read-secret', {
      service: [
        'LoadCredential=api-key:API_KEY',
        `ExecStart=/bin/sh -c 'set -- $$(sha256sum "$$CREDENTIALS_DIRECTORY/api-key"); echo "GUEST read $$1"'`,
        `ExecStop=/bin/echo ${SHUTS_DOWN}`,
      ],
    }),
    { path: 'usr/lib/on-power-button', content: ON_POWER_BUTTON, mode: 0o755 },
    ...consoleUnit('on-power-button', {
      service: ['Type=simple', 'RemainAfterExit=no', 'ExecStart=/usr/lib/on-power-button'],
    }),
  ];
  const paths = { folder, kernel: join(folder, 'vmlinuz'), initramfs: join(folder, 'initramfs') };
  copyFileSync(image.kernel, paths.kernel);
  await writeInitramfs(paths.initramfs, image, { files });
  return paths;
}

const LINUX = 'console=ttyS0 quiet loglevel=1 systemd.show_status=false systemd.getty_auto=no';

/** define_qemu NAME WORDS-AS-JSON [MORE-OF-THE-DEFINITION [SECRET]] */
const PRELUDE = `
define_qemu() {
  cat > "/etc/vmsecretd/vms/$1.json" << DEFINITION
{ "hypervisor": "qemu", "command": ["-M", "q35,accel=tcg", $2], "credentials": { "API_KEY": { "age": "/etc/secrets/\${4-api-key}.age" } }\${3-} }
DEFINITION
}
PVH='"-m", "64", "-nodefaults", "-append", "", "-kernel", "/opt/guests/await-power-button"'
DEBIAN='"-m", "512", "-smp", "1", "-cpu", "max", "-nodefaults", "-no-reboot", "-kernel", "/opt/debian/vmlinuz", "-initrd", "/opt/debian/initramfs", "-append", "${LINUX}"'
`;

/** A folder for /nix/store that has what the generated runner names. */
async function buildStore(t: Test, { kernel, initramfs }: { kernel: string; initramfs: string }) {
  const store = mkdtempSync(join(tmpdir(), 'vmsecretd-store-'));
  t.teardown(() => rmSync(store, { recursive: true, force: true }));
  chmodSync(store, 0o755);
  const folder = (name: string) => {
    mkdirSync(join(store, name), { recursive: true });
    return join(store, name);
  };
  const launcher = await evaluate(`import (pure + "/launcher-text.nix") {
    name = "my-app"; shell = "/bin/bash"; launch = "/usr/local/bin/vmsecretd-launch";
    program = "/nix/store/stub-qemu/bin/qemu-system-x86_64";
  }`);
  const launcherBin = folder('stub-vmsecretd-launcher-my-app/bin');
  writeFileSync(join(launcherBin, 'qemu-system-x86_64'), String(launcher), { mode: 0o755 });
  symlinkSync('/usr/bin/qemu-system-x86_64', join(folder('stub-qemu/bin'), 'qemu-system-x86_64'));
  symlinkSync('/usr/bin/socat', join(folder('stub-socat/bin'), 'socat'));
  copyFileSync(kernel, join(folder('stub-linux-dev'), 'bzImage'));
  copyFileSync(initramfs, join(folder('stub-initrd'), 'initrd'));
  writeFileSync(join(store, 'stub-microvm-store-disk.erofs'), Buffer.alloc(1 << 20));
  cpSync(FIXTURES, folder('stub-runner/bin'), { recursive: true });
  for (const name of ['microvm-run', 'microvm-shutdown'])
    chmodSync(join(store, 'stub-runner/bin', name), 0o755);
  return store;
}

/** The unit of microvm.nix's host module, as far as one VM of QEMU needs it, with what the NixOS module adds. */
async function microvmNixUnit(): Promise<string> {
  const unit = (await evaluate(
    'import (pure + "/../vm-unit.nix") { launch = "/usr/local/bin/vmsecretd-launch"; isNotify = false; isQemu = true; }',
  )) as {
    after: string[];
    requires: string[];
    wants: string[];
    serviceConfig: Record<string, string | string[]>;
  };
  const settings = Object.entries(unit.serviceConfig).flatMap(([key, value]) =>
    [value].flat().map(one => `${key}=${one}`),
  );
  return `[Unit]
After=${unit.after.join(' ')}
Requires=${unit.requires.join(' ')}
Wants=${unit.wants.join(' ')}
[Service]
Type=simple
WorkingDirectory=/var/lib/microvms/%i
ExecStart=/var/lib/microvms/%i/current/bin/microvm-run
ExecStop=/var/lib/microvms/%i/current/bin/microvm-shutdown
TimeoutSec=240
Restart=always
RestartSec=5s
User=microvm
Group=kvm
LimitNOFILE=1048576
NotifyAccess=all
LimitMEMLOCK=infinity
${settings.join('\n')}
`;
}

const skip = whyNoVmHost() || whyNoQemu() || (await missingNix());

test('QEMU in units', { skip, timeout: 900_000 }, async t => {
  const debian = await buildDebian(t);
  const host: VmHost = await bootVmHost(t, {
    ...(await bindQemu()),
    '/opt/debian': debian.folder,
    '/nix/store': await buildStore(t, debian),
  });
  const sh = (script: string) => host.sh(PRELUDE + script, { deadlineMs: GUEST_MS });
  await sh(`
    mkdir -p /etc/vmsecretd/vms /etc/systemd/system/microvm@.service.d
    printf '${WITHOUT_KVM}' > /etc/systemd/system/microvm@.service.d/qemu.conf
    systemctl daemon-reload
    systemctl start vmsecretd`);
  await pvhGuests(t, sh);
  await debianGuest(t, sh);
  await microvmNixRunner(t, sh);
  await powerOff(t, host);
});

type Sh = (script: string) => Promise<string>;

async function pvhGuests(t: Test, sh: Sh): Promise<void> {
  await t.test(
    'starts as the unit’s user, its guest has the secret, and its command line does not',
    async t => {
      t.equal(
        await sh(`
        define_qemu web "$PVH"
        vmsecretctl reload > /dev/null
        vmsecretctl check web > /tmp/checked || cat /tmp/checked
        systemctl start microvm@web && states web
        eventually 'console web | grep -qxF "${PRINTED_SECRET}"'
        ps -o user= -p "$(unit web MainPID)"
        readlink "/proc/$(unit web MainPID)/exe"`),
        'active running\nmicrovm\n/usr/bin/qemu-system-x86_64',
      );
      const words = await sh('tr "\\0" "\\n" < "/proc/$(unit web MainPID)/cmdline"');
      t.match(words, '-smbios\ntype=11,path=/run/vmsecretd/fifos/web/oem-string-0');
      t.match(words, /^socket,id=vmsecretd-qmp,server=on,wait=off,fd=\d+$/m);
      t.equal(await sh('ls -A /run/vmsecretd/fifos/web'), '', 'each FIFO is gone once it is read');
      t.match(await sh('vmsecretctl console web --no-follow'), PRINTED_SECRET);
    },
  );

  await t.test(
    'is open nowhere but where the unit of cloud-hypervisor is, and where the drop-in says',
    async t => {
      const open = async (unit: string) => {
        const report = await sh(`systemd-analyze security --no-pager ${unit}`);
        return [...report.matchAll(/^✗ (\w+)=/gm)].map(([, directive]) => directive);
      };
      // By another name: the drop-in is not for it.
      await sh('cp /usr/local/lib/systemd/system/microvm@.service /tmp/plain@.service');
      const ofTemplate = await open('--offline=true /tmp/plain@.service');
      t.ok(ofTemplate.length > 0, 'there are some');
      const added = (await open('microvm@web.service')).filter(directive => !ofTemplate.includes(directive));
      t.strictSame(added, ['MemoryDenyWriteExecute']);
    },
  );

  await t.test('pauses, resumes, reboots, and stops by its power button though it is paused', async t => {
    t.equal(
      await sh(`
        for verb in pause resume reboot; do vmsecretctl $verb web > /dev/null || echo "$verb failed"; done
        eventually '[ "$(console web | grep -c "END OF OEM")" -gt 1 ]'
        vmsecretctl pause web > /dev/null
        states web
        systemctl stop microvm@web
        console web | grep -c 'terminating on signal' || true
        unit web Result; states web`),
      'active paused\n0\nsuccess\ninactive stopped',
    );
  });

  await t.test('is taken over by the next daemon, in the same run', async t => {
    t.equal(
      await sh(`
        vmsecretctl start web > /dev/null; id=$(unit web InvocationID)
        systemctl kill --kill-who=main --signal=KILL vmsecretd
        eventually '[ "$(vm_state web)" = running ]'
        [ "$(unit web InvocationID)" = "$id" ] && vmsecretctl kill web > /dev/null && states web`),
      'inactive stopped',
    );
  });

  await t.test('without a secret there is no QEMU, and its journal says why', async t => {
    t.match(
      await sh(`
        mv /etc/secrets/api-key.age /etc/secrets/gone
        systemctl start microvm@web 2> /dev/null && echo started
        console web | tail -n 5
        systemctl stop microvm@web
        mv /etc/secrets/gone /etc/secrets/api-key.age`),
      /credential API_KEY: \/etc\/secrets\/api-key.age does not exist/,
    );
  });
}

async function debianGuest(t: Test, sh: Sh): Promise<void> {
  await t.test('a unit of a Debian guest reads the secret by LoadCredential=', async t => {
    t.equal(
      await sh(`
        printf %s '${CANARY.text}' | age --recipient "$(sed 's/.*: //' /tmp/public)" --output /etc/secrets/canary.age
        define_qemu deb "$DEBIAN" ', "stopTimeoutSeconds": 100' canary
        vmsecretctl reload > /dev/null
        # What the guest prints goes to the console of the host, too, which outlives its journal.
        mkdir -p /etc/systemd/system/microvm@deb.service.d
        printf '[Service]\\nStandardOutput=journal+console\\nExecStopPost=/bin/sh -c '"'"'echo "VMM: $SERVICE_RESULT, $EXIT_CODE $EXIT_STATUS"'"'"'\\n' \\
          > /etc/systemd/system/microvm@deb.service.d/tell.conf
        systemctl daemon-reload
        systemctl start microvm@deb
        eventually 'console deb | grep -qF "GUEST read"' 200
        console deb | grep -ao 'GUEST read .*'`),
      READ,
    );
  });

  await t.test('the secret is in the memory of its QEMU, and nowhere else', async t => {
    t.equal(
      await sh(`
        vmsecretctl show deb > /dev/null; vmsecretctl check deb > /dev/null
        node /project/dist/test/systemd/programs/search-canary.js /etc/vmsecretd/identity /etc/secrets/canary.age \
          "$(systemctl show --property MainPID --value vmsecretd)" "$(unit deb MainPID)"`),
      'memory of the VMM',
    );
  });
}

async function microvmNixRunner(t: Test, sh: Sh): Promise<void> {
  await t.test(
    'microvm-run as microvm.nix generates it for QEMU starts a Debian guest with its secret',
    async t => {
      t.equal(
        await sh(`
        mkdir -p /var/lib/microvms/my-app /etc/secrets
        ln -s /nix/store/stub-runner /var/lib/microvms/my-app/current
        chown -R microvm:kvm /var/lib/microvms/my-app
        printf 'of microvm.nix' > /etc/secrets/other && chmod 644 /etc/secrets/other
        cat > /etc/systemd/system/microvm@my-app.service << 'UNIT'
${await microvmNixUnit()}UNIT
        echo '{"hypervisor": "qemu", "supervisor": "unit", "stopTimeoutSeconds": 100, "credentials": {"API_KEY": {"age": "/etc/secrets/canary.age"}}}' \
          > /etc/vmsecretd/vms/my-app.json
        vmsecretctl reload > /dev/null
        systemctl daemon-reload
        vmsecretctl check my-app > /tmp/checked || cat /tmp/checked
        systemctl start microvm@my-app && states my-app
        eventually 'console my-app | grep -qF "GUEST read"' 200
        console my-app | grep -ao 'GUEST read .*'`),
        `active running\n${READ}`,
      );
      const words = await sh('tr "\\0" "\\n" < "/proc/$(unit my-app MainPID)/cmdline"');
      t.match(
        words,
        'name=opt/io.systemd.credentials/OTHER,file=/etc/secrets/other',
        'its own credential stays',
      );
      t.match(words, 'unix:my-app.sock,server,nowait', 'and its own control socket');
    },
  );

  await t.test('and has its guest shut down when it is stopped', async t => {
    t.equal(
      await sh(`
        eventually 'console my-app | grep -qF "GUEST awaits it"' 200
        systemctl stop microvm@my-app
        console my-app | grep -ao '${SHUTS_DOWN}'; unit my-app Result`),
      `${SHUTS_DOWN}\nsuccess`,
    );
  });

  await t.test('by hand it exits 1 and says how the VM is started', async t => {
    const said = await sh(
      '! (cd /var/lib/microvms/my-app && setpriv --reuid microvm --regid kvm --clear-groups current/bin/microvm-run 2>&1)',
    );
    t.match(said, /systemctl start microvm@my-app/);
  });
}

async function powerOff(t: Test, host: VmHost): Promise<void> {
  await t.test('a poweroff of the host has the guest shut down first', async t => {
    await host.powerOff({ deadlineMs: GUEST_MS });
    const text = host.consoleText();
    t.match(text, /GUEST power button[\s\S]*GUEST shuts down[\s\S]*VMM: success, exited 0/);
    const stopped = text.search(/Stopped .*microvm@deb/);
    const daemonStopped = text.search(/Stopped .*vmsecretd\.service/);
    t.ok(stopped >= 0 && daemonStopped > stopped, 'the VM stops before the daemon');
  });
}
