import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();

const messages = (call: string, args: Record<string, unknown>) =>
  evaluate(
    `map (problem: problem.message) (builtins.filter (problem: !problem.assertion)
      (with import (pure + "/problems.nix"); ${call}))`,
    args,
  );
const ofDefinition = (definition: unknown, name = 'a') =>
  messages('definitionProblems "vms.a" name definition', { name, definition });

const VM = {
  hypervisor: 'cloud-hypervisor',
  system: 'x86_64-linux',
  extraArgs: [],
  oemStrings: [],
  launcherFor: 'a',
  graphics: false,
  isDeclared: false,
};
const ofMicrovm = (vm: object) =>
  messages('microvmProblems [ "a" ] "a" definition vm', {
    definition: { credentials: { KEY: { text: 'v' } } },
    vm: { ...VM, ...vm },
  });

const REFUSED: [string, unknown, RegExp][] = [
  ['no source', { credentials: { K: {} } }, /credentials\."K": set exactly one of .* none is set/],
  ['two sources', { credentials: { K: { age: '/a', text: 'x' } } }, /age and text are set/],
  [
    'a credential name with a slash',
    { credentials: { 'a/b': { text: 'x' } } },
    /"a\/b": a credential name is/,
  ],
  [
    'a credential name with =',
    { credentials: { 'a=b': { text: 'x' } } },
    /"a=b": a credential name is .*'='/,
  ],
  ['a plain file in the Nix store', { credentials: { K: { file: '/nix/store/x' } } }, /world-readable/],
  ['an identity in the Nix store', { identities: ['/nix/store/key'] }, /world-readable, a private key/],
  [
    'a credential that is an OEM string too',
    { credentials: { K: { text: 'x' } }, oemStrings: ['io.systemd.credential.binary:K=eA=='] },
    /drop the secret/,
  ],
];
for (const [what, definition, message] of REFUSED) {
  t.test(`refuses ${what}`, { skip }, async t => {
    const found = (await ofDefinition(definition)) as string[];
    t.equal(found.length, 1);
    t.match(found[0], message);
  });
}

t.test('refuses a VM name with a slash', { skip }, async t => {
  t.match(await ofDefinition({}, 'a/b'), [/a VM name is 1-64/]);
});

t.test('accepts age files in the Nix store and files of the running host', { skip }, async t => {
  const credentials = { A: { age: '/nix/store/x.age' }, F: { file: '/run/secrets/f' }, T: { text: '' } };
  t.strictSame(
    await ofDefinition({ credentials, identities: ['/etc/ssh/key'], oemStrings: ['x', 'y=z'] }),
    [],
  );
});

const QEMU = { hypervisor: 'qemu', machine: 'q35', credentialFiles: ['OTHER'] };
const REFUSED_VMS: [string, object, RegExp][] = [
  [
    'another hypervisor',
    { hypervisor: 'crosvm', launcherFor: null },
    /runs crosvm\. Set microvm\.hypervisor = "cloud-hypervisor" or "qemu"/,
  ],
  ['QEMU’s machine without SMBIOS', { ...QEMU, machine: 'microvm' }, /no SMBIOS table.*machine = "q35"/],
  [
    'a credential file of the same name',
    { ...QEMU, credentialFiles: ['KEY'] },
    /credentialFiles of the VM has/,
  ],
  [
    'a QEMU of its own',
    { ...QEMU, launcherFor: null, isDeclared: true },
    /Set vmsecretd\.microvm\.qemu\.package/,
  ],
  ['QEMU without the launcher', { ...QEMU, launcherFor: null }, /vmsecretd\.lib\.mkQemuLauncher/],
  ['another architecture', { system: 'aarch64-linux' }, /x86_64 only/],
  ['-v with secrets', { extraArgs: ['-v'] }, /logs the whole configuration/],
  ['a VM that does not execute the launcher', { launcherFor: null }, /nixosModules\.microvm/],
  [
    'more strings than SMBIOS counts',
    { oemStrings: Array.from({ length: 255 }, (_, at) => `s${at}`) },
    /256 OEM strings, .* more than the 255/,
  ],
  ['no launcher in its own evaluation', { launcherFor: null }, /mkLauncher \{ inherit pkgs; name = "a"; \}/],
  [
    'a package of its own',
    { launcherFor: null, isDeclared: true },
    /Set vmsecretd\.microvm\.cloudHypervisor\.package/,
  ],
  ['the launcher of another VM', { launcherFor: 'b' }, /for the VM "b".*vmsecretd\.microvm\.name = "a"/],
  ['graphics', { graphics: true }, /--gpu/],
  ['a static string of the same name', { oemStrings: ['io.systemd.credential:KEY=v'] }, /platformOEMStrings/],
];
for (const [what, vm, message] of REFUSED_VMS) {
  t.test(`refuses a microvm.nix VM with ${what}`, { skip }, async t => {
    t.match(await ofMicrovm(vm), [message]);
  });
}

t.test('accepts a microvm.nix VM with the launcher, and refuses one that is not there', { skip }, async t => {
  t.strictSame(await ofMicrovm({}), []);
  for (const machine of ['q35', 'pc', 'pc-q35-9.2'])
    t.strictSame(await ofMicrovm({ ...QEMU, machine }), [], machine);
  t.match(await messages('microvmProblems [ "b" ] "a" { } null', {}), [
    /there is no microvm\.vms\.a; .*there: b/,
  ]);
});
