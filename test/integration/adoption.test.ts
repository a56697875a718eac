// What a daemon does with the records of one that was killed: it takes over what is its own, and nothing else.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcess } from '../../src/system/procfs.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { apiSocketOf, CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

/** Until the guest is booted its VMM has a record of another name. */
function recordPath({ daemon }: Rig, phase: 'starting' | 'running' = 'running'): string {
  return join(daemon.runtime, 'records', phase === 'running' ? 'web.json' : 'web.starting');
}

/** Leaves the record of a VM that is gone, with another VMM in it, to a new daemon. */
async function leaveRecord(
  rig: Rig,
  phase: 'starting' | 'running',
  vmm: Record<string, unknown>,
): Promise<void> {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  await daemon.act('web', 'start');
  await daemon.kill9();
  const record = JSON.parse(readFileSync(recordPath(rig), 'utf8'));
  await STAND_IN.powerOff(apiSocketOf(rig, 'web'));
  rmSync(recordPath(rig));
  writeFileSync(recordPath(rig, phase), JSON.stringify({ ...record, vmm: { ...record.vmm, ...vmm } }));
  await daemon.restart();
}

for (const phase of ['running', 'starting'] as const) {
  daemonTest(
    `never touches a process that got the pid of a VMM (phase ${phase})`,
    options,
    async (t, rig) => {
      const bystander = spawn('sleep', ['60'], { stdio: 'ignore' });
      try {
        await once(bystander, 'spawn');
        await leaveRecord(rig, phase, { pid: bystander.pid });
        if (phase === 'starting') {
          await rig.daemon.untilVm('web', 'was started afresh', vm => vm.state === 'running');
        } else {
          t.match(await rig.daemon.show('web'), { state: 'stopped', pid: null });
          t.notOk(existsSync(recordPath(rig)), 'the record is dropped');
        }
        t.match(await rig.daemon.act('web', 'kill'), { state: 'stopped' });
        t.ok(await readProcess(bystander.pid ?? 0), 'it lives');
      } finally {
        bystander.kill('SIGKILL');
      }
    },
  );
}

daemonTest(
  'ends and starts again what was being started when the daemon was killed',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web', { kernelName: 'hangs-on-boot' });
    mkdirSync(join(daemon.runtime, 'records'), { mode: 0o700 });
    const changes = watch(join(daemon.runtime, 'records'), { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const start = daemon.call('POST', '/v1/vms/web/start').catch(() => 'cut off');
    const path = recordPath(rig, 'starting');
    for await (const _ of changes) if (existsSync(path)) break;
    const { pid } = JSON.parse(readFileSync(path, 'utf8')).vmm;
    await daemon.kill9();
    t.equal(await start, 'cut off');
    t.strictSame(daemon.vmms(), [pid]);
    const kept = join(daemon.state, 'vms', 'web.json');
    const good = join(daemon.folder, 'good.elf');
    writeFileSync(good, readFileSync(join(daemon.folder, 'hangs-on-boot')));
    writeFileSync(kept, readFileSync(kept, 'utf8').replace(/[^"]*hangs-on-boot/, good));
    await daemon.restart();
    const again = await daemon.untilVm('web', 'was started afresh', vm => vm.state === 'running');
    t.not(again.pid, pid);
    t.strictSame(daemon.vmms(), [again.pid]);
  },
);

daemonTest(
  'takes over a QEMU that was being started once its guest runs: it waits until every secret is there',
  { skip: QEMU.skip },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(QEMU, rig, 'web');
    const { pid } = await daemon.act('web', 'start');
    await daemon.kill9();
    renameSync(recordPath(rig), recordPath(rig, 'starting'));
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'running', pid });
    t.strictSame(daemon.vmms(), [pid]);
    t.match(await daemon.untilConsole('web', END_OF_OEM_STRINGS), 'io.systemd.credential.binary:CANARY=');
  },
);

daemonTest('leaves VMs running when it is stopped, and removes its sockets', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const { pid } = await daemon.act('web', 'start');
  await daemon.stop();
  t.strictSame(daemon.vmms(), [pid]);
  for (const name of ['admin', 'vmsecretd'] as const) t.notOk(existsSync(daemon.socket(name)), name);
  await daemon.restart();
  t.match(await daemon.show('web'), { state: 'running', pid });
});

daemonTest(
  'takes a VM over as it was: paused, and not ready before its guest says so',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    const { command, ...rest } = await defineVm(STAND_IN, rig, 'web');
    const withVsock = [...(command as string[]), '--vsock', 'cid=3,socket=vsock.sock'];
    await daemon.define('web', { ...rest, command: withVsock, ready: 'receipt' });
    await daemon.act('web', 'start');
    await daemon.act('web', 'pause');
    await daemon.kill9();
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'paused', ready: false, receipt: 'pending' });
    t.match(await daemon.act('web', 'resume'), { state: 'running', ready: false });
  },
);

daemonTest('takes over what vmsecretd 0.1.0 started, as it was', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const { pid, startedAt } = await daemon.act('web', 'start');
  await daemon.act('web', 'pause');
  await daemon.kill9();
  const { version: _, vmm, definition, ...rest } = JSON.parse(readFileSync(recordPath(rig), 'utf8'));
  const { declared, ...place } = definition;
  const unversioned = { phase: 'running', ...vmm, ...rest, definition: { ...place, ...declared } };
  writeFileSync(recordPath(rig), JSON.stringify(unversioned));
  await daemon.restart();
  t.match(await daemon.show('web'), { state: 'paused', pid, startedAt });
  t.match(JSON.parse(readFileSync(recordPath(rig), 'utf8')), { version: 1 });
});

/** A definition file, as an operator or Nix changes it. */
async function writeDefinition(rig: Rig, json: object): Promise<string> {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'other');
  const path = join(daemon.definitions, 'web.json');
  writeFileSync(path, JSON.stringify({ ...definition, ...json }));
  await daemon.call('POST', '/v1/reload');
  return path;
}

daemonTest('keeps a VM whose definition went while there was no daemon', options, async (t, rig) => {
  const { daemon } = rig;
  const path = await writeDefinition(rig, { stopTimeoutSeconds: 5 });
  const { pid } = await daemon.act('web', 'start');
  await daemon.kill9();
  rmSync(path);
  await daemon.restart();
  t.match(await daemon.show('web'), { state: 'running', pid, credentials: [{ name: 'CANARY' }] });
  t.ok(daemon.log.some(record => /whose definition is gone/.test(String(record.msg))));
  t.match(await daemon.act('web', 'stop'), { state: 'stopped' });
  t.strictSame(daemon.vmms(), []);
  await daemon.call('POST', '/v1/reload');
  t.match(await daemon.call('GET', '/v1/vms/web'), { status: 404 }, 'then it is gone, too');
});

daemonTest(
  'a VM stays with its supervisor until it is down, over a daemon’s end',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await writeDefinition(rig, { supervisor: 'daemon' });
    const { pid } = await daemon.act('web', 'start');
    await writeDefinition(rig, { supervisor: 'unit', unit: 'other.service' });
    t.match(await daemon.show('web'), { state: 'running', pid, supervisor: 'daemon', unit: null });
    await daemon.kill9();
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'running', pid, supervisor: 'daemon', unit: null });
    await daemon.act('web', 'stop');
    t.strictSame(daemon.vmms(), []);
    t.match(await daemon.show('web'), { state: 'stopped', supervisor: 'unit', unit: 'other.service' });
  },
);

for (const vmm of [STAND_IN, QEMU]) {
  const more = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(
    `${vmm.name}: a VMM that lives and answers nothing is failed, and ended by a stop`,
    more,
    async (t, rig) => {
      const { daemon } = rig;
      await defineVm(vmm, rig, 'web');
      await defineVm(vmm, rig, 'other');
      const { pid = 0 } = await daemon.act('web', 'start');
      const other = await daemon.act('other', 'start');
      await daemon.kill9();
      process.kill(pid ?? 0, 'SIGSTOP');
      await daemon.restart();
      t.match(await daemon.show('web'), { state: 'failed', problem: { code: /^vmm_(timeout|refused)$/ } });
      t.match(await daemon.show('other'), { state: 'running', pid: other.pid }, 'the others are taken over');
      await daemon.act('web', 'stop');
      t.strictSame(daemon.vmms(), [other.pid]);
    },
  );
}

for (const vmm of [CLOUD_HYPERVISOR, STAND_IN, QEMU]) {
  const options = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(`${vmm.name}: asks the VMM whether its guest is paused`, options, async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { after: 'stay', more: { stopTimeoutSeconds: 600 } });
    const { pid } = await daemon.act('web', 'start');
    await daemon.act('web', 'pause');
    // The stop resumes it, and nobody hears the button.
    const stopping = daemon.call('POST', '/v1/vms/web/stop').catch(() => undefined);
    await daemon.until('the button is pressed', () =>
      daemon.events.some(({ step }) => step === 'power-button'),
    );
    await daemon.kill9();
    await stopping;
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'running', pid });
    t.match(await daemon.act('web', 'resume'), { state: 'running' });
    await daemon.act('web', 'pause');
    await daemon.kill9();
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'paused', pid });
    t.match(await daemon.act('web', 'resume'), { state: 'running' });
  });
}
