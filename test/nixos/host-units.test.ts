// NixOS has every unit, directive, user and folder of systemd/: read here by other code than the Nix files', so that neither drifts.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { evaluate, missingNix, projectRoot } from './nix.js';

const skip = await missingNix();
const folder = join(projectRoot, 'systemd');
const PROGRAMS = { vmsecretd: '/store/vmsecretd', 'vmsecretd-launch': '/store/launch', kill: '/store/kill' };
const KINDS = { service: 'services', socket: 'sockets', target: 'targets' };
/** NixOS writes these itself: where the files' documentation is, and what enabling one unit enables besides. */
const NOT_TAKEN = ['Unit.Documentation', 'Install.Also'];

type Settings = Record<string, string | string[]>;
interface Unit extends Record<string, unknown> {
  unitConfig: Settings;
}
const units = (): Promise<unknown> =>
  evaluate('import (pure + "/host-units.nix") { folder = pure + "/../../systemd"; inherit programs; }', {
    programs: PROGRAMS,
  });

/** "Section.Key=value" of each line, sorted. */
function linesOfFile(file: string): string[] {
  let section = '';
  const lines: string[] = [];
  for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const [, key = '', value = ''] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (key === '' || NOT_TAKEN.includes(`${section}.${key}`)) continue;
    lines.push(`${section}.${key}=${value.replace(/^([-+!@]*)(\/\S+)/, withProgram(key))}`);
  }
  return lines.sort();
}

function withProgram(key: string): (whole: string, prefix: string, path: string) => string {
  return (whole, prefix, path) =>
    key.startsWith('Exec') ? prefix + PROGRAMS[basename(path) as keyof typeof PROGRAMS] : whole;
}

const DEPENDENCIES = { after: 'After', before: 'Before', requires: 'Requires', wants: 'Wants' };

function linesOfUnit(unit: Unit): string[] {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(unit)) {
    const dependency = DEPENDENCIES[name as keyof typeof DEPENDENCIES];
    if (dependency !== undefined) lines.push(`Unit.${dependency}=${(value as string[]).join(' ')}`);
    else if (name === 'wantedBy') lines.push(`Install.WantedBy=${(value as string[]).join(' ')}`);
    else {
      const section = name.replace(/^(.)(.*)Config$/, (_, first, rest) => first.toUpperCase() + rest);
      for (const [key, one] of Object.entries(value as Settings)) {
        for (const each of [one].flat()) lines.push(`${section}.${key}=${each}`);
      }
    }
  }
  return lines.sort();
}

t.test('NixOS gets every directive of every unit file', { skip }, async t => {
  const all = (await units()) as Record<string, Record<string, Unit>>;
  const files = readdirSync(folder).filter(file => /\.(service|socket|target)$/.test(file));
  t.ok(files.length >= 6, 'the files are found');
  for (const file of files) {
    const [, name = '', kind = ''] = /^(.+)\.(\w+)$/.exec(file) ?? [];
    const unit = all[KINDS[kind as keyof typeof KINDS]]?.[name];
    t.strictSame(unit && linesOfUnit(unit), linesOfFile(file), file);
  }
});

t.test('every file of systemd/ has a Nix file that reads it', async t => {
  const modules = readdirSync(join(projectRoot, 'nixos-module'), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.nix'))
    .map(file => readFileSync(join(projectRoot, 'nixos-module', file), 'utf8'))
    .join('\n');
  for (const file of readdirSync(folder)) {
    const isUnit = /\.(service|socket|target)$/.test(file);
    t.ok(isUnit || file === 'install.sh' || modules.includes(`../systemd/${file}`), file);
  }
});

t.test(
  'every line of the sysusers and tmpfiles files is taken, but what NixOS makes below /etc',
  {
    skip,
  },
  async t => {
    const text = (file: string) => readFileSync(join(folder, file), 'utf8');
    const sysusers = await evaluate('import (pure + "/sysusers.nix") text', {
      text: text('vmsecretd.sysusers'),
    });
    t.strictSame(sysusers, {
      groups: ['vmsecretd', 'kvm'],
      users: { microvm: { description: 'virtual machines', home: '/var/lib/microvms', groups: ['kvm'] } },
    });
    const rules = (await evaluate('import (pure + "/tmpfiles.nix") text', {
      text: text('vmsecretd.tmpfiles'),
    })) as string[];
    const expected = text('vmsecretd.tmpfiles')
      .split('\n')
      .filter(line => line.startsWith('d ') && !line.startsWith('d /etc/'));
    t.ok(expected.length > 0);
    t.strictSame(rules, expected);
    await t.rejects(evaluate('import (pure + "/sysusers.nix") "r - 500-900"'), /'r - 500-900' is none of/);
  },
);

t.test(
  'a VM of microvm.nix is ordered after the daemon as every VM is, and stays out of swap and dumps',
  {
    skip,
  },
  async t => {
    const unit = await evaluate(
      'import (pure + "/microvm-unit.nix") (builtins.readFile (pure + "/../../systemd/microvm@.service"))',
    );
    t.strictSame(unit, {
      after: ['vmsecretd-ready.target'],
      wants: ['vmsecretd-ready.target', 'vmsecretd.service'],
      serviceConfig: {
        LimitCORE: '0',
        MemorySwapMax: '0',
        RuntimeDirectory: 'vmsecretd/vms/%i',
        RuntimeDirectoryMode: '0700',
      },
    });
  },
);
