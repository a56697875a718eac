import { readFileSync } from 'node:fs';
// What an operator writes on a NixOS host, and what the host's evaluation makes of it or says about it.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { projectRoot } from './nix.js';
import { evaluateHost, failedAssertions, type HostOptions, whyNoNixosHost } from './nixos-host.js';

const PACKAGE = `vmsecretd-${JSON.parse(readFileSync('package.json', 'utf8')).version}`;

const skip = await whyNoNixosHost();

const SSHD = 'services.openssh.enable = true;';
const VM = 'microvm.vms.my-app.config = { };';
const AGE = join(projectRoot, 'nixos-module/examples/secrets/api-key.age');
const enabled = (text: string) => `{ lib, pkgs, ... }: { services.vmsecretd.enable = true; ${SSHD} ${text} }`;

/** [what, the host's configuration, the one message] */
const REFUSED: [string, string, RegExp][] = [
  [
    'credentials in vms for a VM that microvm.nix runs',
    enabled(`${VM} services.vmsecretd.vms.my-app.credentials.K.age = "/x.age";`),
    /vms\.my-app: microvm\.nix runs this VM .* would boot without its secrets. Move it to services\.vmsecretd\.microvms\.my-app/,
  ],
  [
    'secrets of a microVM while the service is not enabled',
    `{ ${SSHD} ${VM} services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age"; }`,
    /my-app would boot without its secrets, because services\.vmsecretd\.enable is not set/,
  ],
  [
    'the same, written beside the VM',
    `{ ${SSHD} ${VM} microvm.vms.my-app.vmsecretd.credentials.K.age = "/x.age"; }`,
    /services\.vmsecretd\.enable = true/,
  ],
  [
    'a mistyped name in microvms',
    enabled(`${VM} services.vmsecretd.microvms.my-ap.credentials.K.age = "/x.age";`),
    /microvms\.my-ap: there is no microvm\.vms\.my-ap; correct the name \(there: my-app\)/,
  ],
  [
    'a VM without an evaluation',
    enabled('microvm.vms.a = { }; services.vmsecretd.microvms.a.credentials.K.age = "/x.age";'),
    /microvm\.vms\.a has no config, flake or evaluatedConfig/,
  ],
  [
    'a VM that sets its own cloud-hypervisor package',
    enabled(`microvm.vms.my-app.config = { pkgs, ... }: { microvm.cloud-hypervisor.package = pkgs.cloud-hypervisor; };
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /config of microvm\.vms\.my-app sets microvm\.cloud-hypervisor\.package.*Set vmsecretd\.microvm\.cloudHypervisor\.package there instead/,
  ],
  [
    'a VM of another hypervisor',
    enabled(`microvm.vms.my-app.config.microvm.hypervisor = "crosvm";
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /runs crosvm\. Set microvm\.hypervisor = "cloud-hypervisor" or "qemu"/,
  ],
  [
    'a QEMU machine without SMBIOS',
    enabled(`microvm.vms.my-app.config.microvm = { hypervisor = "qemu"; qemu.machine = "microvm"; };
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /microvm\.qemu\.machine = "microvm" of the VM has no SMBIOS table/,
  ],
  [
    'a credential that microvm.nix brings to QEMU, too',
    enabled(`microvm.vms.my-app.config.microvm = { hypervisor = "qemu"; credentialFiles.K = "/k"; };
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /credentials\."K": microvm\.credentialFiles of the VM has the same credential/,
  ],
  [
    'a VM that sets its own QEMU',
    enabled(`microvm.vms.my-app.config = { pkgs, ... }: { microvm.hypervisor = "qemu"; microvm.qemu.package = pkgs.qemu; };
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /sets microvm\.qemu\.package.*Set vmsecretd\.microvm\.qemu\.package there instead/,
  ],
  [
    'graphics',
    enabled(`microvm.vms.my-app.config.microvm.graphics.enable = true;
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /graphics\.enable of the VM needs --gpu/,
  ],
  [
    'a key that microvm.nix decides',
    enabled(`${VM} services.vmsecretd.microvms.my-app = { command = [ "--kernel" ]; };`),
    /microvms\.my-app\.command: microvm\.nix decides this/,
  ],
  [
    'age files that nothing opens',
    `{ services.vmsecretd.enable = true; ${VM} services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age"; }`,
    /identityPaths is empty, so nothing opens the age files of my-app\. Set services\.openssh\.enable/,
  ],
  [
    'an identity in the Nix store',
    enabled(`services.vmsecretd.identityPaths = [ ${AGE} ];`),
    /a private key in the Nix store/,
  ],
  [
    'a bare evaluatedConfig without the launcher',
    enabled(`microvm.vms.my-app.evaluatedConfig = { config = {
        system.build.toplevel = "/x"; networking.hostName = "a"; microvm = {
          hypervisor = "cloud-hypervisor"; shares = [ ]; graphics.enable = false;
          cloud-hypervisor = { package = pkgs.cloud-hypervisor; extraArgs = [ ]; platformOEMStrings = [ ]; };
        }; }; };
      services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age";`),
    /brings its own evaluation.*Import vmsecretd\.nixosModules\.microvm/,
  ],
];
for (const [what, module, message] of REFUSED) {
  t.test(`refuses ${what}`, { skip }, async t => {
    t.match(await failedAssertions({ modules: [module] }), [message]);
  });
}

t.test('refuses a launcher for another VM, as a different hostName makes it', { skip }, async t => {
  const module = `{ services.vmsecretd.enable = true; ${SSHD}
    microvm.vms.my-app.evaluatedConfig = evalConfig { inherit pkgs; modules = [
      microvmGuest vmsecretd.nixosModules.microvm { networking.hostName = "web"; }
    ]; };
    services.vmsecretd.microvms.my-app.credentials.K.age = "/x.age"; }`;
  t.match(await failedAssertions({ modules: [module] }), [
    /is for the VM "web" .* Set vmsecretd\.microvm\.name = "my-app"/,
  ]);
});

t.test('refuses microvms on a host without microvm.nix', { skip }, async t => {
  const module = enabled('services.vmsecretd.microvms.a.credentials.K.age = "/x.age";');
  t.match(await failedAssertions({ modules: [module], withMicrovmNix: false }), [
    /does not import microvm\.nix/,
  ]);
});

t.test(
  'a plain value, and a plaintext file as a path, are refused without being quoted',
  { skip },
  async t => {
    for (const [value, says] of [
      ['"hunter2"', /world-readable/],
      ['/etc/hostname', /world-readable, a plain file in the Nix store; encrypt it/],
    ] as const) {
      const module = enabled(`${VM} services.vmsecretd.microvms.my-app.credentials.K = ${value};`);
      const failure: Error = await failedAssertions({ modules: [module] }).then(
        () => t.fail(value),
        error => error,
      );
      t.match(failure.message.split('error:')[1], says);
      t.notMatch(failure.message.split('error:')[1], 'hunter2');
    }
  },
);

const definitionOf = (t: Test, options: HostOptions, name: string) =>
  evaluateHost(options, `config.services.vmsecretd.definitions.${name}`).catch(error =>
    t.fail(error.message),
  );

t.test('a credential is an age file, a path of the host, or an attribute set', { skip }, async t => {
  const module = enabled(`${VM} microvm.vms.my-app.vmsecretd.credentials = {
      A = ${AGE}; B = "/run/secrets/b"; C = "/etc/secrets/c.age"; D.text = "v"; E = { file = "/e"; trim = "newline"; };
    };`);
  t.match(await definitionOf(t, { modules: [module] }, 'my-app'), {
    credentials: {
      A: { age: /^\/nix\/store\/.*-api-key\.age$/ },
      B: { file: '/run/secrets/b' },
      C: { age: '/etc/secrets/c.age' },
      D: { text: 'v' },
      E: { file: '/e', trim: 'newline' },
    },
    supervisor: 'unit',
    unit: 'microvm@my-app.service',
  });
});

t.test('a credential of every other kind is typed, and becomes its JSON', { skip }, async t => {
  const sops = join(projectRoot, 'test/fixtures/sops/v3.11.0/values.yaml');
  const module = enabled(`${VM} microvm.vms.my-app.vmsecretd.credentials = {
      A.sops = { file = ${sops}; key = "my-app/api-key"; }; B.sops = "/srv/secret"; C.systemdCredential = ${AGE};
      D = { systemdCredential = "/etc/credstore.encrypted/d"; name = "db"; };
      E = { program = [ ${AGE} "show" ]; watch = [ "/srv/store" ]; trim = "newline"; }; F.socket = "/run/x.sock";
    };`);
  t.match(await definitionOf(t, { modules: [module] }, 'my-app'), {
    credentials: {
      A: { sops: /^\/nix\/store\/.*-values\.yaml$/, key: 'my-app/api-key' },
      B: { sops: '/srv/secret' },
      C: { systemdCredential: /^\/nix\/store\//, name: 'api-key.age' },
      D: { systemdCredential: '/etc/credstore.encrypted/d', name: 'db' },
      E: { program: [/^\/nix\/store\/.*-api-key\.age$/, 'show'], watch: ['/srv/store'], trim: 'newline' },
      F: { socket: '/run/x.sock' },
    },
  });
  const text = (credential: string) =>
    enabled(`${VM} microvm.vms.my-app.vmsecretd.credentials.K.${credential};`);
  const refused = (credential: string) =>
    evaluateHost({ modules: [text(credential)] }, 'config.system.build');
  await t.rejects(refused('program = "pass show x"'), /program.*is not of type/s);
  await t.rejects(refused('sops = { file = "/x"; kay = "a"; }'), /kay.*does not exist/s);
});

t.test('secrets beside the VM and those of the service are merged', { skip }, async t => {
  const module =
    enabled(`${VM} microvm.vms.my-app.vmsecretd = { credentials.A.text = "a"; onChange = "restart"; };
    services.vmsecretd.microvms.my-app.credentials.B.text = "b";`);
  t.match(await definitionOf(t, { modules: [module] }, 'my-app'), {
    credentials: { A: { text: 'a' }, B: { text: 'b' } },
    onChange: 'restart',
  });
});

t.test('naming a VM in microvms creates none, and a VM without secrets stays as it is', { skip }, async t => {
  const module = enabled(`${VM} microvm.vms.plain.config = { };
    services.vmsecretd.microvms.my-app.credentials.A.text = "a";`);
  t.strictSame(
    await evaluateHost(
      { modules: [module] },
      `lib.mapAttrs (_: vm: { inherit (vm.config.config.microvm) hypervisor; package = vm.config.config.microvm.cloud-hypervisor.package.name; })
        config.microvm.vms`,
    ),
    {
      'my-app': { hypervisor: 'cloud-hypervisor', package: 'vmsecretd-launcher-my-app' },
      plain: { hypervisor: 'qemu', package: 'cloud-hypervisor-53.0' },
    },
  );
});

t.test('a VM of QEMU gets the launcher, a machine with SMBIOS and a definition for it', { skip }, async t => {
  const module = enabled(`microvm.vms = {
      my-app = { config.microvm = { hypervisor = "qemu"; credentialFiles.OTHER = "/other"; }; vmsecretd.credentials.A.text = "a"; };
      plain.config.microvm.hypervisor = "qemu";
    };`);
  t.strictSame(await failedAssertions({ modules: [module] }), []);
  t.match(
    await evaluateHost(
      { modules: [module] },
      `{ vms = lib.mapAttrs (_: vm: { inherit (vm.config.config.microvm.qemu) machine; package = vm.config.config.microvm.qemu.package.name; })
           config.microvm.vms;
         definition = config.services.vmsecretd.definitions.my-app;
         unit = { inherit (config.systemd.services."microvm@my-app") requires serviceConfig; }; }`,
    ),
    {
      vms: {
        'my-app': { machine: 'q35', package: 'vmsecretd-launcher-my-app' },
        plain: { machine: 'microvm', package: 'qemu-7.2' },
      },
      definition: {
        hypervisor: 'qemu',
        supervisor: 'unit',
        unit: 'microvm@my-app.service',
        program: undefined,
      },
      unit: {
        requires: ['vmsecretd-api@%i.socket'],
        serviceConfig: { Sockets: 'vmsecretd-api@%i.socket', ExecStop: ['', /--stop %i$/] },
      },
    },
  );
});

t.test('a declared VM may import nixosModules.microvm itself, with any hostName', { skip }, async t => {
  const module =
    enabled(`microvm.vms.my-app.config = { imports = [ vmsecretd.nixosModules.microvm ]; networking.hostName = "web"; };
    microvm.vms.my-app.vmsecretd.credentials.A.text = "a";`);
  t.strictSame(await failedAssertions({ modules: [module] }), []);
});

t.test('a VM with its own evaluation and the launcher is accepted', { skip }, async t => {
  const module = `{ services.vmsecretd.enable = true; ${SSHD}
    microvm.vms.my-app.evaluatedConfig = evalConfig { inherit pkgs; modules = [
      microvmGuest vmsecretd.nixosModules.microvm { networking.hostName = "my-app"; }
    ]; };
    microvm.vms.my-app.vmsecretd.credentials.K.age = "/x.age"; }`;
  t.strictSame(await failedAssertions({ modules: [module] }), []);
});

const UNITS = `{
  definitions = lib.mapAttrs (_: one: one.unit or null) config.services.vmsecretd.definitions;
  inherit (config.systemd.targets.multi-user) wants;
  users = lib.attrNames config.users.users;
  groups = lib.attrNames config.users.groups;
  packages = map (package: package.name) config.systemd.packages;
}`;

t.test('supervisor unset is "unit", for the module as for the daemon', { skip }, async t => {
  const module = enabled('services.vmsecretd.vms.a = { autostart = true; command = [ "--kernel" "/k" ]; };');
  t.match(await evaluateHost({ modules: [module], withMicrovmNix: false }, UNITS), {
    definitions: { a: 'microvm@a.service' },
    wants: ['microvm@a.service'],
    users: ['microvm'],
    groups: ['microvm', 'vmsecretd'],
    packages: [PACKAGE, 'microvm-unit-template'],
  });
});

t.test('what the daemon itself runs has no unit', { skip }, async t => {
  const module = enabled(`services.vmsecretd.vms = {
      a = { supervisor = "daemon"; command = "x"; };
      b = { supervisor = "daemon"; hypervisor = "qemu"; command = "x"; };
      c = { delivery = "cmdline"; command = "x"; };
    };`);
  t.match(await evaluateHost({ modules: [module], withMicrovmNix: false }, UNITS), {
    definitions: { a: null, b: null, c: null },
    packages: [PACKAGE],
    users: [],
  });
});

t.test('beside microvm.nix, a VM with its own command gets a template of our own', { skip }, async t => {
  const module = enabled(`${VM} services.vmsecretd.vms = {
      own = { autostart = true; command = [ "--kernel" "/k" ]; };
      imperative.credentials.K.age = "/x.age";
      named = { command = "x"; unit = "web.service"; };
    };`);
  t.match(await evaluateHost({ modules: [module] }, UNITS), {
    definitions: {
      own: 'vmsecretd-vm@own.service',
      imperative: 'microvm@imperative.service',
      named: 'web.service',
    },
    wants: ['vmsecretd-vm@own.service'],
    groups: ['microvm', 'vmsecretd'],
    packages: [PACKAGE, 'vmsecretd-vm-unit-template'],
  });
});

t.test('a VM that `microvm -c` made gets the drop-in that a declared one gets', { skip }, async t => {
  const module = enabled(`${VM} microvm.vms.my-app.vmsecretd.credentials.A.text = "a";
    services.vmsecretd.vms.imperative.credentials.A.text = "a";`);
  const [declared, imperative] = (await evaluateHost(
    { modules: [module] },
    'map (unit: { inherit (unit) after overrideStrategy path wants; }) (lib.attrVals [ "microvm@my-app" "microvm@imperative" ] config.systemd.services)',
  )) as object[];
  t.match(imperative, declared as object);
  t.match(imperative, { overrideStrategy: 'asDropin', path: [] });
});

t.test('a runner with macvtap, or one that is not known, is executed by --hold', { skip }, async t => {
  const module = enabled(`${VM} microvm.vms.my-app.vmsecretd.credentials.A.text = "a";
    microvm.vms.tap = { config.microvm.interfaces = [
        { type = "macvtap"; id = "m"; mac = "02:00:00:00:00:01"; macvtap = { link = "eth0"; mode = "bridge"; }; }
      ]; vmsecretd.credentials.A.text = "a"; };
    services.vmsecretd.vms.imperative.credentials.A.text = "a";`);
  const units = (await evaluateHost(
    { modules: [module] },
    'map (unit: unit.serviceConfig) (lib.attrVals [ "microvm@my-app" "microvm@tap" "microvm@imperative" ] config.systemd.services)',
  )) as { ExecStart?: string[]; ExecStartPre: string | string[] }[];
  const held =
    /^\/nix\/store\/\S+\/vmsecretd-launch --hold %i -- \/var\/lib\/microvms\/%i\/current\/bin\/microvm-run$/;
  t.match(units, [{ ExecStart: undefined }, { ExecStart: ['', held] }, { ExecStart: ['', held] }]);
  const prepare = /^\+\/nix\/store\/\S+\/vmsecretd-launch --prepare %i$/;
  t.match(
    units.map(unit => unit.ExecStartPre),
    [prepare, prepare, [/vmsecretd-require-launcher %i$/, prepare]],
  );
});

t.test('a VM in a template of our own is the one that its API socket is for', { skip }, async t => {
  const module =
    enabled(`services.vmsecretd.vms = { own.command = "x"; named = { command = "x"; unit = "web.service"; };
    imperative.credentials.A.text = "a"; };`);
  t.strictSame(
    await evaluateHost(
      { modules: [module] },
      `lib.mapAttrs (_: socket: socket.socketConfig.Service) (
        lib.filterAttrs (name: _: lib.hasPrefix "vmsecretd-api@" name) config.systemd.sockets)`,
    ),
    { 'vmsecretd-api@own': 'vmsecretd-vm@own.service', 'vmsecretd-api@named': 'web.service' },
  );
});

t.test('a VM runs on the cloud-hypervisor that its own config names', { skip }, async t => {
  const module = enabled(`microvm.vms = {
      own = { vmsecretd.credentials.A.text = "a"; config = { pkgs, ... }: {
        vmsecretd.microvm.cloudHypervisor.package = pkgs.cloud-hypervisor-graphics; }; };
      usual = { config = { }; vmsecretd.credentials.A.text = "a"; };
      told = { config = { }; vmsecretd = { credentials.A.text = "a"; program = "/opt/ch"; }; };
    };`);
  t.match(
    await evaluateHost(
      { modules: [module] },
      'lib.mapAttrs (_: one: one.program or null) config.services.vmsecretd.definitions',
    ),
    { own: /-graphics\/bin\/cloud-hypervisor$/, usual: null, told: '/opt/ch' },
  );
});

t.test('units come after what installs secrets', { skip }, async t => {
  const module = enabled(`${VM} microvm.vms.my-app.vmsecretd.credentials.A.text = "a";
    services.vmsecretd.vms.own.command = "x";`);
  const after = (await evaluateHost(
    { modules: [module] },
    'lib.attrVals [ "vmsecretd" "microvm@my-app" "vmsecretd-vm@" ] (lib.mapAttrs (_: one: one.after) config.systemd.services)',
  )) as string[][];
  for (const units of after)
    for (const name of ['agenix-install', 'sops-install', 'age-decrypt', 'pass-install'])
      t.ok(units.includes(`${name}-secrets.service`), name);
});

t.test('the unit has a reload trigger without any VM, too', { skip }, async t => {
  const triggersOf = (text: string) =>
    evaluateHost({ modules: [enabled(text)] }, 'config.systemd.services.vmsecretd.reloadTriggers');
  const none = (await triggersOf('')) as string[];
  const one = (await triggersOf('services.vmsecretd.vms.a.command = "x";')) as string[];
  t.equal(none.length, 1);
  t.equal(one.length, 1);
  t.not(one[0], none[0]);
});

t.test('a changed operatorGroup reaches the socket that runs', { skip }, async t => {
  const found = (await evaluateHost(
    { modules: [enabled('services.vmsecretd.settings.operatorGroup = "wheel";')] },
    `{ inherit (config.systemd.services.vmsecretd.serviceConfig) ExecStartPre;
       inherit (config.systemd.sockets.vmsecretd.socketConfig) SocketGroup; }`,
  )) as object;
  t.match(found, {
    ExecStartPre: /^-\+\/.*\/chgrp wheel \/run\/vmsecretd\/vmsecretd\.sock$/,
    SocketGroup: 'wheel',
  });
});

t.test('identityPaths are agenix’s where the host imports it', { skip }, async t => {
  const agenix = '{ lib, ... }: { options.age.identityPaths = lib.mkOption { default = [ "/a" ]; }; }';
  const of = (modules: string[]) =>
    evaluateHost({ modules }, 'config.services.vmsecretd.settings.identities or null');
  t.strictSame(await of([enabled(''), agenix]), ['/a']);
  t.strictSame(await of([enabled('')]), ['/etc/ssh/ssh_host_rsa_key', '/etc/ssh/ssh_host_ed25519_key']);
  t.equal(await of(['{ services.vmsecretd.enable = true; }']), null);
  const sops = (value: string) =>
    `{ lib, ... }: { options.sops.age.keyFile = lib.mkOption { default = ${value}; }; }`;
  t.strictSame(await of([enabled(''), agenix, sops('"/var/lib/sops-nix/key.txt"')]), [
    '/a',
    '/var/lib/sops-nix/key.txt',
  ]);
  t.strictSame(await of([enabled(''), agenix, sops('null')]), ['/a']);
});

for (const withMicrovmNix of [true, false]) {
  t.test(`every option has a description, microvm.nix: ${withMicrovmNix}`, { skip }, async t => {
    const without = await evaluateHost(
      { modules: [], withMicrovmNix },
      `map (one: one.name) (lib.filter (one: !one.internal && one.description or null == null)
        (lib.optionAttrSetToDocList { inherit (host.options) microvm; services = { inherit (host.options.services) vmsecretd; }; }))`,
    );
    t.strictSame(without, []);
  });
}

t.test('settings have the daemon’s defaults, and take any key', { skip }, async t => {
  const module = enabled(
    'services.vmsecretd.settings = { startConcurrency = 2; metrics.listen = "127.0.0.1:1"; };',
  );
  t.match(await evaluateHost({ modules: [module] }, 'config.services.vmsecretd.settings'), {
    startConcurrency: 2,
    operatorGroup: 'vmsecretd',
    log: { level: 'info' },
    metrics: { listen: '127.0.0.1:1' },
    hypervisors: { 'cloud-hypervisor': { path: /cloud-hypervisor$/ } },
  });
});

for (const example of ['runtime-secrets', 'oem-strings', 'headscale', 'clan']) {
  t.test(`the example ${example} evaluates`, { skip }, async t => {
    const clan = `{ lib, ... }: { options.clan.core.vars.generators = lib.mkOption { type = lib.types.attrsOf (lib.types.submodule {
      options.script = lib.mkOption { default = ""; };
      options.files = lib.mkOption { type = lib.types.attrsOf (lib.types.submodule ({ name, ... }: {
        options.path = lib.mkOption { default = "/run/secrets/vars/\${name}"; }; })); };
    }); }; }`;
    const modules = [join(projectRoot, `nixos-module/examples/${example}.nix`), clan, `{ ${SSHD} }`];
    t.strictSame(await failedAssertions({ modules }), []);
  });
}
