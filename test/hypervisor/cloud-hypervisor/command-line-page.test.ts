import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  FLAGS,
  OTHER_BUILDS_PROGRAM_FLAGS,
  OTHER_BUILDS_VM_FLAGS,
} from '../../../src/hypervisor/cloud-hypervisor/flags/flags.js';

const page = readFileSync('docs/command-line.md', 'utf8');

t.test('docs/command-line.md names every option and the field that it becomes', async t => {
  for (const [name, { part, field }] of FLAGS) {
    t.ok(page.includes(`\`${name}\``), name);
    if (part === 'vm')
      t.ok(page.includes(field === 'zones' ? '`memory.zones`' : `\`${field}\``), `${name}: ${field}`);
  }
});

t.test('docs/command-line.md names the options of other builds', async t => {
  const named = (name: string) => page.includes(name.startsWith('--dbus') ? '`--dbus-…`' : `\`${name}\``);
  for (const name of [...OTHER_BUILDS_VM_FLAGS, ...OTHER_BUILDS_PROGRAM_FLAGS]) t.ok(named(name), name);
});

t.test('docs/command-line.md names every key that has another name in the VM config', async t => {
  for (const [name, { table }] of FLAGS) {
    for (const [key, { field }] of Object.entries(table?.keys ?? {}))
      if (typeof field === 'string') t.ok(page.includes(`\`${key}\` → \`${field}\``), `${name}: ${key}`);
  }
});
