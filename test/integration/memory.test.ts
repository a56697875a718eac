// Soon after a start no process but the VMM has the secret or the key in its memory: the deliverer that had them is gone.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { Canary } from '../canary.js';
import { whyNotRoot } from '../setup/programs.js';
import { isInMemory } from '../setup/search-memory.js';
import { startSecretHolder } from '../setup/secret-holder.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

/** Issue: what a start leaves behind must be gone within a second. */
const GRACE_MS = 1_000;

test('the search finds what is planted in a process', { skip: whyNotRoot() }, async t => {
  const canary = new Canary();
  const holder = await startSecretHolder(canary);
  try {
    t.ok(isInMemory(holder.pid, canary.forms));
    t.notOk(isInMemory(holder.pid, new Canary().forms));
  } finally {
    holder.kill('SIGKILL');
  }
});

daemonTest(
  'a second after a start the daemon and its children have neither the secret nor the key',
  { skip: whyNotRoot(), config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon, canary } = rig;
    // The test guest prints what it gets, and the daemon keeps what guests print: this one prints nowhere.
    const { command, ...rest } = await defineVm(STAND_IN, rig, 'web');
    await daemon.define('web', { ...rest, command: command.map(word => (word === 'tty' ? 'null' : word)) });
    const key =
      readFileSync(join(daemon.folder, 'identity.txt'), 'utf8').match(/AGE-SECRET-KEY-1\w+/)?.[0] ?? '';
    t.ok(key, 'there is a key to look for');
    for (const round of [1, 2, 3]) {
      await daemon.act('web', 'start');
      // The rule is about time: there is no event for memory that was given back.
      await delay(GRACE_MS);
      const vmm = (await daemon.show('web')).pid;
      const others = familyOf(daemon.pid).filter(pid => pid !== vmm);
      t.ok(others.length >= 2, 'the daemon and a warm deliverer');
      const holders = others.filter(pid => isInMemory(pid, [...canary.forms, Buffer.from(key)]));
      t.strictSame(holders, [], `round ${round}: no process holds them`);
      await daemon.act('web', 'stop');
    }
  },
);

/** A process and all below it. */
function familyOf(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  const children = readdirSync('/proc')
    .map(Number)
    .filter(candidate => Number.isInteger(candidate) && parentOf(candidate) === pid);
  return [pid, ...children.flatMap(familyOf)];
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}
