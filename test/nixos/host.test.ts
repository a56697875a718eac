// A NixOS host as an operator writes it, built, and activated in a container with systemd: the real modules, the real microvm.nix and the
// real VMM (the stand-in without one), with exactly the PATH that NixOS gives each unit. The guest prints its OEM strings.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Test, test } from 'tap';
import { buildPvhGuest } from '../guests/pvh/pvh-guest.js';
import { whyNotOnPath } from '../setup/programs.js';
import { PROJECT_ROOT } from '../setup/project-root.js';
import { bootVmHost, findRealHypervisor, type VmHost, whyNoVmHost } from '../systemd/vm-host.js';
import { projectRoot } from './nix.js';
import { buildHost, whyNoNixBuild } from './nixos-host.js';

const skip =
  (await whyNoNixBuild()) || whyNoVmHost() || whyNotOnPath('age') || whyNotOnPath('ssh-keygen') || false;

const SECRETS = {
  'api-key': 'S3CR3T-api-key',
  'headscale-private': 'S3CR3T-private',
  'headscale-noise': 'S3CR3T-noise',
  'headscale-derp': 'S3CR3T-derp',
};
const DB_PASSWORD = 'S3CR3T-db-password';
const printed = (name: string, value: string) =>
  `io.systemd.credential.binary:${name}=${Buffer.from(value).toString('base64')}`;

/** The host's SSH key, and what is encrypted to it. */
async function makeSecrets(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-nixos-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const key = join(folder, 'ssh_host_ed25519_key');
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  for (const [name, value] of Object.entries(SECRETS))
    await execa('age', ['-R', `${key}.pub`, '-o', join(folder, `${name}.age`)], { input: value });
  writeFileSync(join(folder, 'guest'), buildPvhGuest({ after: 'await-power-button' }));
  return folder;
}

const ageOf = (folder: string, name: string) => `age = lib.mkForce ${join(folder, `${name}.age`)};`;

/** The examples as they are, and what is this host's own. */
function modulesFor(folder: string): string[] {
  const examples = ['oem-strings', 'runtime-secrets', 'headscale'];
  return [
    ...examples.map(name => join(projectRoot, `nixos-module/examples/${name}.nix`)),
    `{ lib, pkgs, ... }: {
      users.users.alice.isNormalUser = true;
      microvm.vms.test-vm = {
        autostart = false;
        config = {
          vmsecretd.microvm.cloudHypervisor.package = pkgs.cloud-hypervisor-graphics;
          microvm = {
            vcpu = 2;
            vsock.cid = 3;
            interfaces = [ { type = "tap"; id = "vm-test"; mac = "02:00:00:01:01:01"; } ];
            cloud-hypervisor.platformOEMStrings = [
              "io.systemd.credential:ENVIRONMENT=test" "io.systemd.credential:CLUSTER=britton-desktop"
            ];
          };
          systemd.services.demo-oem-credentials.serviceConfig.LoadCredential = [ "environment:ENVIRONMENT" ];
        };
        vmsecretd.credentials.API_KEY = ${join(folder, 'api-key.age')};
      };
      services.vmsecretd.microvms.my-app.credentials.API_KEY = { ${ageOf(folder, 'api-key')} };
      services.vmsecretd.microvms.headscale.credentials = {
        HEADSCALE_PRIVATE = { ${ageOf(folder, 'headscale-private')} };
        HEADSCALE_NOISE = { ${ageOf(folder, 'headscale-noise')} };
        HEADSCALE_DERP = { ${ageOf(folder, 'headscale-derp')} };
      };
      services.vmsecretd.vms.own = {
        command = "--kernel \${pkgs.linuxPackages.kernel.dev}/vmlinux --memory size=64M --serial tty --console off";
        credentials.API_KEY = ${join(folder, 'api-key.age')};
      };
      # Made by \`microvm -c\`: see below.
      services.vmsecretd.vms.imperative.credentials.API_KEY = ${join(folder, 'api-key.age')};
    }`,
  ];
}

/** As nixos-rebuild switch does, as far as a test needs it. systemd's own PATH is NixOS's, where no program is. */
const activate = (system: string) => `set -e
  mkdir -p /etc/systemd/system.conf.d
  printf '[Manager]\\nDefaultEnvironment=PATH=/no-such-path\\n' >/etc/systemd/system.conf.d/nixos.conf
  systemctl daemon-reexec
  ${system}/activate
  systemctl start sockets.target`;

async function bootHost(t: Test, folder: string, system: string): Promise<VmHost> {
  const key = readFileSync(join(folder, 'ssh_host_ed25519_key'), 'utf8');
  const install = `set -e
    chmod 666 /dev/kvm /dev/net/tun 2>/dev/null || true
    mkdir -p -m 700 /etc/ssh /run/secrets/my-app
    umask 077
    printf '%s' '${key}' >/etc/ssh/ssh_host_ed25519_key
    echo '${DB_PASSWORD}' >/run/secrets/my-app/db-password
    groupadd --system kvm 2>/dev/null || true
    umask 022
    ${activate(system)}
    ln -sf /run/current-system/sw/bin/vmsecretctl /usr/local/bin/vmsecretctl
    # As at boot: microvm.nix's own installs the runner of each VM, and starts those with autostart.
    systemctl start vmsecretd
    systemctl start --no-block multi-user.target microvms.target`;
  const binds = { '/nix/store': '/nix/store', [PROJECT_ROOT]: PROJECT_ROOT };
  return bootVmHost(t, binds, install);
}

/** Starts a VM by systemd alone and waits for what its guest prints. A guest's READY=1 comes by the VMM to port 8888 of the host. */
async function startAndRead(host: VmHost, vm: string, isNotify: boolean, last: string): Promise<string> {
  const notify = `cd /var/lib/microvms/${vm}
    eventually 'printf "READY=1\\nSTATUS=guest is up" | socat -t1 - UNIX-CONNECT:notify.vsock_8888; [ "$(unit ${vm} StatusText)" = "guest is up" ]'`;
  return host.sh(`
    systemctl start --no-block microvm@${vm}
    eventually 'console ${vm} | grep -qF "${last}"'
    ${isNotify ? notify : ''}
    eventually '[ "$(states ${vm})" = "active running" ]'
    console ${vm} | grep -a '^io.systemd.credential'`);
}

test('a NixOS host starts the VMs of the examples with their secrets', {
  skip,
  timeout: 300_000,
}, async t => {
  const folder = await makeSecrets(t);
  const guestKernel = join(folder, 'guest');
  const system = await buildHost({ modules: modulesFor(folder), guestKernel });
  const host = await bootHost(t, folder, system);

  await t.test('the daemon runs, with no program missing', async t => {
    t.equal(await host.sh('systemctl is-active vmsecretd'), 'active');
    t.notMatch(
      await host.sh('journalctl --unit vmsecretd --output cat'),
      /not on PATH|cannot be run|no group/,
    );
    t.match(await host.sh('id -nG alice'), /\bvmsecretd\b/);
    t.match(await host.sh('stat -c %G /run/vmsecretd/vmsecretd.sock'), /^vmsecretd$/);
    t.match(await host.sh('vmsecretctl list'), /my-app/);
  });

  await t.test('static OEM strings stay, beside a text of vmsecretd’s', async t => {
    const strings = await startAndRead(host, 'demo', false, 'CLUSTER=my-cluster');
    t.match(strings, 'io.systemd.credential:ENVIRONMENT=production');
    t.match(strings, printed('REGION', 'eu-west'));
  });

  await t.test('my-app has its API key and its database password', async t => {
    const strings = await startAndRead(host, 'my-app', true, printed('DB_PASSWORD', DB_PASSWORD));
    t.match(strings, printed('API_KEY', SECRETS['api-key']));
  });

  await t.test('test-vm has its static strings, its tap and its secret', async t => {
    const strings = await startAndRead(host, 'test-vm', true, printed('API_KEY', SECRETS['api-key']));
    t.match(strings, 'io.systemd.credential:ENVIRONMENT=test');
    t.match(strings, 'io.systemd.credential:CLUSTER=britton-desktop');
    t.match(await host.sh('ip -o link show vm-test'), /vm-test/);
    // The stand-in is a script, and shows its interpreter.
    if (findRealHypervisor() === undefined) return;
    const program = await host.sh('tr "\\0" "\\n" <"/proc/$(unit test-vm MainPID)/cmdline" | head -n 1');
    t.match(program, /-graphics\/bin\/cloud-hypervisor$/, 'on the program of its own');
  });

  await t.test('headscale has its three keys', async t => {
    const strings = await startAndRead(
      host,
      'headscale',
      false,
      printed('HEADSCALE_PRIVATE', SECRETS['headscale-private']),
    );
    t.match(strings, printed('HEADSCALE_NOISE', SECRETS['headscale-noise']));
    t.match(strings, printed('HEADSCALE_DERP', SECRETS['headscale-derp']));
  });

  await t.test('a VM with its own command runs in a template of our own', async t => {
    const text = await host.sh(`
      timeout 60 vmsecretctl start own
      eventually '[ "$(systemctl is-active vmsecretd-vm@own)" = active ]'
      systemctl is-active vmsecretd-vm@own
      eventually 'journalctl --unit vmsecretd-vm@own --output cat | grep -qF "${printed('API_KEY', SECRETS['api-key'])}"'
      timeout 60 vmsecretctl stop own`);
    t.match(text, /^active$/m);
  });

  await t.test('a VM that `microvm -c` made starts with its launcher, and not without', async t => {
    // Its folder as microvm -c leaves it; the runners are those of other VMs, with and without a launcher for it.
    const install = (runner: string) => `set -e
      mkdir -p /var/lib/microvms/imperative
      ln -sTf "${runner}" /var/lib/microvms/imperative/current
      chown -R microvm:kvm /var/lib/microvms/imperative`;
    const options = { modules: modulesFor(folder), guestKernel };
    const other = 'config.microvm.vms.my-app.config.config.microvm.declaredRunner';
    const { status } = await host.run(
      `${install(await buildHost(options, other))}\nsystemctl start microvm@imperative`,
    );
    t.not(status, 0);
    t.match(
      await host.sh('console imperative'),
      /VM imperative has no launcher and would boot without its secrets; import vmsecretd\.nixosModules\.microvm/,
    );
    const own = `(evalConfig { inherit pkgs; modules = [ microvmGuest vmsecretd.nixosModules.microvm
      { networking.hostName = "imperative"; } ]; }).config.microvm.declaredRunner`;
    await host.sh(install(await buildHost(options, own)));
    const stop = 'systemctl stop --quiet microvm@imperative 2>/dev/null';
    await host.sh(`${stop}; systemctl reset-failed microvm@imperative || true`);
    await startAndRead(host, 'imperative', false, printed('API_KEY', SECRETS['api-key']));
    await host.sh(stop);
  });

  await t.test('they stop by systemctl stop, each by its guest’s power button', async t => {
    for (const vm of ['demo', 'my-app', 'test-vm', 'headscale'])
      t.equal(
        await host.sh(
          `systemctl stop --quiet microvm@${vm} 2>/dev/null; [ "$(unit ${vm} Result)" = success ] || console ${vm} | tail -n 20`,
        ),
        '',
        vm,
      );
  });

  await t.test('no secret is in the store, the journal of the daemon or a command line', async t => {
    const values = Object.values(SECRETS).flatMap(value => [value, Buffer.from(value).toString('base64')]);
    const grep = values.map(value => `-e '${value}'`).join(' ');
    t.equal(await host.sh(`journalctl --unit vmsecretd | grep -cF ${grep} || true`), '0');
    t.equal((await host.run(`grep -rlF ${grep} ${system}/etc/ /etc/vmsecretd/`)).output, '');
  });

  await t.test(
    'a switch that removes every VM, and changes the operators’ group, reaches what runs',
    async t => {
      const next = await buildHost({
        modules: [
          `{ lib, ... }: { services.openssh.enable = true; users.groups.wheel = { };
           services.vmsecretd = { enable = true; settings.operatorGroup = "wheel"; }; }`,
        ],
      });
      // What switch-to-configuration does with a unit whose X-Restart-Triggers changed.
      await host.sh(`${activate(next)}\nsystemctl restart vmsecretd`);
      t.equal(await host.sh('stat -c %G /run/vmsecretd/vmsecretd.sock'), 'wheel');
      t.notMatch(await host.sh('vmsecretctl list'), /my-app|headscale/);
    },
  );
});
