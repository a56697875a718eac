// The units, users and folders of systemd/ on NixOS: the package installs the files themselves, and what a drop-in repeats is the same.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigSchema } from '../../src/config-schema.js';
import { CredentialSchema, DefinitionSchema } from '../../src/definition/schema.js';
import { evaluate, missingNix, projectRoot } from './nix.js';
import { buildHost, evaluateHost, whyNoNixBuild, whyNoNixosHost } from './nixos-host.js';

const folder = join(projectRoot, 'systemd');
const textOf = (file: string) => readFileSync(join(folder, file), 'utf8');
const UNITS = readdirSync(folder).filter(file => /\.(service|socket|target)$/.test(file));

/** The file's lines with programs by name, so that a store path equals /usr/local. */
const withoutPaths = (text: string) =>
  text
    .replace(/\/\S*\/(bin|lib\/node_modules\/vmsecretd|lib\/vmsecretd)\//g, '')
    .replace(/\/bin\/kill/g, 'kill');

t.test(
  'the package has every file of systemd/, with store paths',
  { skip: await whyNoNixBuild(), timeout: 120_000 },
  async t => {
    const package_ = await buildHost({ modules: ['{ }'] }, 'config.services.vmsecretd.package');
    for (const unit of UNITS) {
      const at = unit === 'microvm@.service' ? 'share/vmsecretd' : 'lib/systemd/system';
      const text = readFileSync(join(package_, at, unit), 'utf8');
      t.equal(withoutPaths(text), withoutPaths(textOf(unit)), unit);
      for (const [, program = ''] of text.matchAll(/^Exec\w*=[-@:+!]*(\S+)/gm)) {
        t.match(program, /^\/nix\/store\//);
        t.ok(existsSync(program), program);
      }
    }
    for (const kind of ['sysusers', 'tmpfiles'])
      t.equal(
        readFileSync(join(package_, `lib/${kind}.d/vmsecretd.conf`), 'utf8'),
        textOf(`vmsecretd.${kind}`),
      );
    for (const file of ['man/man1/vmsecretctl.1', 'man/man8/vmsecretd.8', 'zsh/site-functions/_vmsecretctl'])
      t.ok(existsSync(join(package_, 'share', file)), file);
  },
);

t.test(
  'the module enables what the files install, and no more',
  { skip: await whyNoNixosHost() },
  async t => {
    const wanted = (await evaluateHost(
      { modules: ['{ services.vmsecretd.enable = true; }'] },
      `lib.mapAttrs (_: unit: unit.wantedBy) (lib.filterAttrs (name: _: lib.hasPrefix "vmsecretd" name) (
        lib.mapAttrs' (name: lib.nameValuePair "\${name}.socket") config.systemd.sockets
        // lib.mapAttrs' (name: lib.nameValuePair "\${name}.service") config.systemd.services))`,
    )) as Record<string, string[]>;
    const installed = UNITS.filter(unit => !unit.includes('@')).flatMap(unit => {
      const [, by] = /^WantedBy=(.*)$/m.exec(textOf(unit)) ?? [];
      return by === undefined ? [] : [[unit, [by]]];
    });
    t.strictSame(wanted, Object.fromEntries(installed));
  },
);

t.test(
  'the drop-in of a VM of microvm.nix repeats what systemd/microvm@.service has',
  { skip: await missingNix() },
  async t => {
    const unit = (await evaluate(
      'import (pure + "/../vm-unit.nix") { launch = "/usr/local/bin/vmsecretd-launch"; isNotify = false; }',
    )) as {
      after: string[];
      requires: string[];
      wants: string[];
      serviceConfig: Record<string, string | number | string[]>;
    };
    const template = textOf('microvm@.service');
    for (const [key, values] of Object.entries(unit.serviceConfig))
      for (const value of [values].flat()) t.match(template, `\n${key}=${value}\n`, key);
    const ours = (key: string) =>
      new RegExp(`^${key}=(.*)$`, 'm')
        .exec(template)?.[1]
        ?.split(' ')
        .filter(name => name.startsWith('vmsecretd'));
    t.strictSame(unit.after, ours('After'));
    t.strictSame(unit.wants, ours('Wants'));
    t.strictSame(unit.requires, ours('Requires'));
  },
);

interface Schema {
  properties: Record<string, object>;
}
const keysOf = (schema: object) => Object.keys((schema as Schema).properties);

t.test('every typed option is a key of the daemon’s JSON', { skip: await whyNoNixosHost() }, async t => {
  const keys = (await evaluateHost(
    { modules: ['{ }'] },
    `let
      keysOf = type: lib.attrNames (removeAttrs (type.getSubOptions [ ]) [ "_module" "_freeformOptions" ]);
      inherit (host.options.services.vmsecretd) microvms settings vms;
    in {
      vms = keysOf vms.type;
      microvms = lib.remove "isolate" (keysOf microvms.type);
      credentials = keysOf (vms.type.getSubOptions [ ]).credentials.type;
      settings = keysOf settings.type;
    }`,
  )) as Record<'vms' | 'microvms' | 'credentials' | 'settings', string[]>;
  const subset = (of: string[], all: string[]) => of.filter(key => !all.includes(key));
  t.strictSame(subset(keys.vms, keysOf(DefinitionSchema)), []);
  t.strictSame(subset(keys.microvms, keysOf(DefinitionSchema)), []);
  t.strictSame(subset(keys.credentials, keysOf(CredentialSchema)), []);
  t.strictSame(subset(keys.settings, keysOf(ConfigSchema)), []);
  t.ok(keys.credentials.includes('age'));
});
