// What the build of a NixOS host refuses: what evaluation cannot see.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { projectRoot } from './nix.js';
import { buildHost, whyNoNixBuild } from './nixos-host.js';

const skip = await whyNoNixBuild();
const AGE = join(projectRoot, 'nixos-module/examples/secrets/api-key.age');

function writeFile(t: Test, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-plain-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'secret'), content);
  return join(folder, 'secret');
}

const build = (text: string) =>
  buildHost({
    modules: [`{ pkgs, ... }: { services.openssh.enable = true; services.vmsecretd.enable = true; ${text} }`],
  });
const microvm = (config: string, age = AGE) =>
  build(`microvm.vms.my-app = { config = { ${config} }; vmsecretd.credentials.K.age = ${age}; };`);

t.test('builds a host with an age file, armored or binary', { skip, timeout: 120_000 }, async t => {
  await t.resolves(microvm(''));
  await t.resolves(microvm('', writeFile(t, 'age-encryption.org/v1\n-> X25519 x\n')));
});

t.test(
  'rejects plaintext given as an age file, without a word of it',
  { skip, timeout: 120_000 },
  async t => {
    for (const content of ['hunter2-plain\n', '', '-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2-plain\n']) {
      const failure: Error = await microvm('', writeFile(t, content)).then(
        () => t.fail(content),
        error => error,
      );
      t.match(failure.message, /VM my-app: \/nix\/store\/\S+-secret is no age file: every user can read/);
      t.match(failure.message, /nix-store --delete \/nix\/store/);
      t.notMatch(failure.message, 'hunter2-plain');
    }
  },
);

const SOPS = ['values.yaml', 'values.json', 'values.env', 'values.ini', 'binary'].map(name =>
  join(projectRoot, 'test/fixtures/sops/v3.11.0', name),
);
const other = (source: string) =>
  build(`microvm.vms.my-app = { config = { }; vmsecretd.credentials.K.${source}; };`);

t.test('builds a host with a sops file of every format', { skip, timeout: 240_000 }, async t => {
  for (const file of SOPS) await t.resolves(other(`sops = { file = ${file}; key = "a"; }`), file);
});

t.test('rejects plaintext given as another encrypted file', { skip, timeout: 240_000 }, async t => {
  const plain = writeFile(t, 'password: hunter2-plain\n');
  for (const [source, says] of [
    [`sops = { file = ${plain}; key = "password"; }`, /is no sops file: every user can read/],
    [`systemdCredential = ${plain}`, /is no file of systemd-creds: every user can read/],
  ] as const) {
    const failure: Error = await other(source).then(
      () => t.fail(source),
      error => error,
    );
    t.match(failure.message, says);
    t.notMatch(failure.message, 'hunter2-plain');
  }
});

t.test('rejects extraArgs that the daemon cannot read', { skip, timeout: 120_000 }, async t => {
  await t.rejects(microvm('microvm.cloud-hypervisor.extraArgs = [ "--rgn" "src=/dev/urandom" ];'), {
    message: /There is no option "--rgn". Did you mean "--rng"/,
  });
});

t.test(
  'reads a command line with the rules of the release that will run it',
  { skip, timeout: 240_000 },
  async t => {
    const release = (version: string, vm: string) =>
      build(
        `services.vmsecretd.cloudHypervisor.package = pkgs.cloud-hypervisor // { version = "${version}"; };
       microvm.vms.my-app = { config = { ${vm} }; vmsecretd.credentials.K.age = ${AGE}; };`,
      );
    const newer = 'microvm.cloud-hypervisor.extraArgs = [ "--rtc" ];';
    await t.rejects(release('52.0', newer), {
      message: /--rtc is there in cloud-hypervisor from 53\.0 on, and this is 52\.0/,
    });
    await t.resolves(release('53.0', newer));
    const onDisk = 'microvm.storeOnDisk = true;';
    await t.resolves(release('53.0', onDisk));
    await t.rejects(release('54.0', onDisk), {
      message: /has no image_type.*vmsecretd\.microvm\.storeDiskImageType/s,
    });
    await t.resolves(release('54.0', `${onDisk} vmsecretd.microvm.storeDiskImageType = "raw";`));
  },
);

t.test('reads the command line of a VM of QEMU, with its secrets', { skip, timeout: 240_000 }, async t => {
  const qemu = (more: string) => microvm(`microvm.hypervisor = "qemu"; ${more}`);
  await t.resolves(qemu('microvm.credentialFiles.OTHER = "/run/secrets/other";'));
  await t.rejects(qemu('microvm.qemu.extraArgs = [ "-daemonize" ];'), {
    message: /-daemonize cannot be used: vmsecretd supervises QEMU itself/,
  });
  await t.rejects(qemu('microvm.qemu.extraArgs = [ "-object" "sev-guest,id=sev0" ];'), {
    message: /-object sev-guest,id=sev0 cannot be used: systemd in a confidential guest ignores/,
  });
});

t.test('rejects a key that no definition and no configuration has', { skip, timeout: 120_000 }, async t => {
  await t.rejects(build('services.vmsecretd.vms.a = { command = "--kernel /k"; onChang = "restart"; };'), {
    message: /onChang.*onChange/s,
  });
  await t.rejects(build('services.vmsecretd.settings.identites = [ ];'), {
    message: /identites.*identities/s,
  });
});

t.test(
  'builds without a word of groups that the build machine lacks',
  { skip, timeout: 120_000 },
  async t => {
    const config = await buildHost(
      { modules: ['{ services.vmsecretd = { enable = true; settings.operatorGroup = "nowhere"; }; }'] },
      'config.environment.etc."vmsecretd/config.json".source',
    );
    t.match(config, /^\/nix\/store\/.*-vmsecretd\.json$/m);
    t.notMatch(config, /nowhere|no group/);
  },
);
