// The contract of a VMM: what a VM does under it, from start to end. Run on every VMM there is.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { decodeOemStrings, oemStringsOf } from '../guests/pvh/decode-oem-strings.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { apiSocketOf, defineVm, type Vmm } from './vmm.js';

export function runVmmSuite(vmm: Vmm): void {
  const rule = (title: string, body: (t: Test, rig: Rig) => Promise<void>) =>
    daemonTest(`${vmm.name}: ${title}`, { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } }, body);

  rule('starts, shows and stops a VM', async (t, rig) => {
    const { daemon, canary } = rig;
    await defineVm(vmm, rig, 'web');
    const started = await daemon.act('web', 'start');
    t.match(started, {
      name: 'web',
      state: 'running',
      ready: true,
      exposed: false,
      supervisor: 'daemon',
      unit: null,
      hypervisor: vmm.hypervisor,
      hypervisorVersion: /^\d+\.\d+/,
      pid: Number,
      startedAt: /^\d{4}-.*Z$/,
      restarts: 0,
      problem: null,
      origin: 'api',
      credentials: [{ name: 'CANARY', source: 'age', sizeBytes: canary.text.length }],
    });
    t.strictSame(daemon.vmms(), [started.pid], 'the VMM is the process that is shown');
    t.strictSame(await daemon.show('web'), started);
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    const metrics = (await daemon.call('GET', '/metrics')).body.toString();
    t.match(metrics, /^vmsecretd_vm_state\{vm="web",state="running"\} 1$/m);
    t.match(metrics, /^vmsecretd_vm_start_time_seconds\{vm="web"\} \d{10}/m);
    t.match(metrics, /^vmsecretd_vm_cpu_seconds_total\{vm="web",mode="user"\} \d/m);
    t.match(metrics, /^vmsecretd_vm_memory_bytes\{vm="web"\} [1-9]\d{6,}$/m, 'megabytes');
    if (vmm.hypervisor === 'cloud-hypervisor') t.match(metrics, /^vmsecretd_vm_vmm_answers\{vm="web"\} 1$/m);
    const stopped = await daemon.act('web', 'stop');
    t.match(stopped, { state: 'stopped', ready: false, pid: null, lastExit: { status: 0, signal: null } });
    t.strictSame(daemon.vmms(), []);
    t.strictSame(stepsOf(rig), ['power-button'], 'the guest powered off by itself');
    await daemon.until('the last event has come', () => statesOf(rig).at(-1) === 'stopped');
    t.strictSame(statesOf(rig), ['starting', 'running', 'stopping', 'stopped']);
  });

  rule('brings each value into the guest byte for byte, static strings first', async (t, rig) => {
    const { daemon, canary } = rig;
    const values: Record<string, Buffer> = {
      ZEROS: Buffer.alloc(3),
      PEM: Buffer.from(`-----BEGIN KEY-----\n${'QUJD\n'.repeat(40)}-----END KEY-----\n`),
      ODD: Buffer.from('a,b]"c'),
      EMPTY: Buffer.alloc(0),
      BIG: randomBytes(30_000),
    };
    const credentials: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values))
      credentials[name] = { age: await daemon.seal(name, value) };
    const plain = join(daemon.secrets, 'plain');
    writeFileSync(plain, `${canary.text}\n`);
    credentials.PLAIN = { file: plain, trim: 'newline' };
    credentials.TEXT = { text: 'my-cluster' };
    const fixed = ['io.systemd.credential:ENVIRONMENT=production', 'plain-string'];
    await defineVm(vmm, rig, 'web', { more: { credentials, oemStrings: fixed } });
    const started = await daemon.act('web', 'start');
    const printed = await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    t.strictSame(oemStringsOf(printed).slice(0, 2), fixed);
    t.strictSame(
      [...decodeOemStrings(printed)],
      [
        ['ENVIRONMENT', Buffer.from('production')],
        ['CANARY', Buffer.from(canary.text)],
        ...Object.entries(values),
        ['PLAIN', Buffer.from(canary.text)],
        ['TEXT', Buffer.from('my-cluster')],
      ],
    );
    t.strictSame(
      started.credentials.map(({ name, sizeBytes }) => [name, sizeBytes]).slice(1, 6),
      Object.entries(values).map(([name, value]) => [name, value.length]),
    );
    await vmm.powerOff(apiSocketOf(rig, 'web'));
    const ended = await daemon.untilVm('web', 'is stopped', vm => vm.state === 'stopped');
    t.match(ended, { lastExit: { status: 0 }, problem: null }, 'the VMM ends when its guest powers off');
  });

  rule('brings a changed secret with a restart', async (t, rig) => {
    const { daemon, canary } = rig;
    await defineVm(vmm, rig, 'web', {
      more: { credentials: { KEY: { age: await daemon.seal('key', 'old') } } },
    });
    const first = await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await daemon.seal('key', canary.text);
    const second = await daemon.act('web', 'restart');
    t.not(second.pid, first.pid);
    const secrets = decodeOemStrings(await daemon.untilConsole('web', END_OF_OEM_STRINGS));
    t.equal(secrets.get('KEY')?.toString(), canary.text);
    t.strictSame(daemon.vmms(), [second.pid]);
  });

  rule('restarts a stopped VM, and takes start and stop of what is so already', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    t.match(await daemon.act('web', 'stop'), { state: 'stopped' });
    const { pid } = await daemon.act('web', 'restart');
    t.match(await daemon.act('web', 'start'), { state: 'running', pid });
    await daemon.act('web', 'kill');
    t.match(await daemon.act('web', 'kill'), { state: 'stopped' }, 'kill is always taken');
  });

  rule('kills the VMM at once', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { after: 'stay' });
    await daemon.act('web', 'start');
    t.match(await daemon.act('web', 'kill'), { state: 'stopped', lastExit: { signal: 'SIGKILL' } });
    t.strictSame(daemon.vmms(), []);
  });

  rule('calls a VM stopped whose guest powers off by itself', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { more: { restart: 'on-failure' } });
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await vmm.powerOff(apiSocketOf(rig, 'web'));
    const ended = await daemon.untilVm('web', 'is stopped', vm => vm.state === 'stopped');
    t.match(ended, { problem: null, lastExit: { status: 0, signal: null }, restarts: 0 });
    t.strictSame(statesOf(rig), ['starting', 'running', 'stopped']);
  });

  rule('calls a VM failed whose VMM was killed, and says so', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    const { pid } = await daemon.act('web', 'start');
    process.kill(pid ?? 0, 'SIGKILL');
    const failed = await daemon.untilVm('web', 'has failed', vm => vm.state === 'failed');
    t.match(failed, {
      pid: null,
      problem: { code: 'vmm_refused', detail: /^VM web: .*SIGKILL/ },
      lastExit: { status: null, signal: 'SIGKILL' },
    });
    t.match(await daemon.act('web', 'start'), { state: 'running', problem: null }, 'it can be started again');
  });

  rule('starts a VM again whose VMM was killed, where the definition says so', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { more: { restart: 'on-failure' } });
    const { pid } = await daemon.act('web', 'start');
    process.kill(pid ?? 0, 'SIGKILL');
    const again = await daemon.untilVm(
      'web',
      'runs again',
      vm => vm.state === 'running' && vm.restarts === 1,
    );
    t.not(again.pid, pid);
    t.strictSame(daemon.vmms(), [again.pid]);
  });

  rule('climbs the stop ladder for a guest that does not listen', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { after: 'stay', more: { stopTimeoutSeconds: 1 } });
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    t.match(await daemon.act('web', 'stop'), { state: 'stopped', lastExit: { status: 0 } });
    t.strictSame(stepsOf(rig), ['power-button', 'shutdown']);
  });

  rule('pauses, resumes and reboots what runs, and nothing else', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    for (const verb of ['pause', 'resume', 'reboot']) {
      const answer = await daemon.call('POST', `/v1/vms/web/${verb}`);
      t.match(
        answer,
        { status: 409, json: { code: 'state_conflict', state: 'stopped' } },
        `${verb} of a stopped VM`,
      );
    }
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    t.match(await daemon.act('web', 'pause'), { state: 'paused' });
    t.match(await daemon.act('web', 'pause'), { state: 'paused' });
    for (const verb of ['start', 'reboot']) {
      const answer = await daemon.call('POST', `/v1/vms/web/${verb}`);
      t.match(
        answer,
        { status: 409, json: { code: 'state_conflict', state: 'paused' } },
        `${verb} of a paused VM`,
      );
    }
    t.match(await daemon.act('web', 'resume'), { state: 'running' });
    t.match(await daemon.act('web', 'reboot'), { state: 'running' });
    await daemon.act('web', 'pause');
    t.match(await daemon.act('web', 'kill'), { state: 'stopped' });
  });

  rule('lets a second start join the first', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    const [first, second] = await Promise.all([daemon.act('web', 'start'), daemon.act('web', 'start')]);
    t.equal(first.pid, second.pid);
    t.strictSame(daemon.vmms(), [first.pid]);
  });

  rule('ends a start when stop is asked for', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    const start = daemon.call('POST', '/v1/vms/web/start');
    await daemon.until('the start has begun', () => statesOf(rig).includes('starting'));
    t.match(await daemon.act('web', 'stop'), { state: 'stopped', problem: null });
    t.match(await start, { status: 409, json: { code: 'state_conflict', detail: /ended by stop/ } });
    t.strictSame(daemon.vmms(), []);
  });

  rule('takes running VMs over after the daemon was killed', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    const before = await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await daemon.kill9();
    t.strictSame(daemon.vmms(), [before.pid], 'the VMM lives on');
    await daemon.restart();
    const { state, ready, pid, startedAt, credentials, hypervisorVersion } = before;
    t.match(await daemon.show('web'), { state, ready, pid, startedAt, credentials, hypervisorVersion });
    await daemon.act('web', 'pause');
    await daemon.act('web', 'resume');
    t.match(await daemon.act('web', 'stop'), { state: 'stopped', lastExit: { status: 0 } });
    t.strictSame(daemon.vmms(), []);
  });

  rule('goes on with the console of a VM that was taken over', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web', { after: 'reboot' });
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await daemon.kill9();
    await daemon.restart();
    t.match(await daemon.untilConsole('web', END_OF_OEM_STRINGS), END_OF_OEM_STRINGS);
  });

  rule('calls a VM stopped that ended while there was no daemon', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await daemon.kill9();
    await vmm.powerOff(apiSocketOf(rig, 'web'));
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'stopped', pid: null });
    t.match(await daemon.act('web', 'start'), { state: 'running' });
  });

  rule('notices the end of a VM that was taken over', async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    const { pid } = await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await daemon.kill9();
    await daemon.restart();
    process.kill(pid ?? 0, 'SIGKILL');
    const failed = await daemon.untilVm('web', 'has failed', vm => vm.state === 'failed');
    t.match(failed, { problem: { code: 'vmm_refused' }, pid: null });
  });
}

/** The rungs of the stop ladder that were climbed. */
function stepsOf({ daemon }: Rig): unknown[] {
  return daemon.events.filter(event => event.type === 'stop-step').map(event => event.step);
}

function statesOf({ daemon }: Rig): unknown[] {
  return daemon.events.filter(event => event.type === 'state').map(event => event.state);
}
