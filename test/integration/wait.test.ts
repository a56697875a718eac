// Whoever waits sees what the VM does meanwhile, and what it did last when that takes too long.
import { connect } from 'node:net';
import { join } from 'node:path';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { NO_TERMINAL, RunningCtl } from './running-ctl.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

async function defineNotifyingVm(rig: Rig): Promise<void> {
  const { command, ...rest } = await defineVm(STAND_IN, rig, 'web');
  const withVsock = [...command, '--vsock', 'cid=3,socket=vsock.sock'];
  await rig.daemon.define('web', { ...rest, command: withVsock, ready: 'notify' });
}

/** What the VMM does when the guest's systemd notifies over vsock. */
async function notify({ daemon }: Rig, message: string): Promise<void> {
  const socket = connect(join(daemon.runtime, 'vms', 'web', 'vsock.sock_8888'));
  await new Promise(resolve => socket.resume().once('close', resolve).end(message));
}

daemonTest('start --wait prints a line for each change into a pipe', options, async (t, rig) => {
  await defineNotifyingVm(rig);
  const ctl = new RunningCtl(rig.daemon, ['start', '--wait', 'ready', 'web'], { terminal: false });
  await ctl.untilPrinted('web: running, not ready yet\n');
  await notify(rig, 'STATUS=Mounting \x1b[2Jdisks');
  await ctl.untilPrinted('web: running, not ready yet: Mounting  [2Jdisks\n');
  await notify(rig, 'READY=1');
  t.equal(await ctl.ended, 0);
  t.match(ctl.printed, /\nweb +running +yes /, 'then the VM as it is');
  t.notMatch(ctl.printed, '\x1b', 'nothing for terminals');
});

daemonTest(
  'start --wait shows one line that changes on a terminal',
  { ...options, skip: NO_TERMINAL },
  async (t, rig) => {
    await defineNotifyingVm(rig);
    const ctl = new RunningCtl(rig.daemon, ['start', '--wait', 'ready', 'web'], { terminal: true });
    await ctl.untilPrinted(/\r[-\\|/] \d+ s {2}web: running, not ready yet/);
    await notify(rig, 'STATUS=Mounting disks\nREADY=1');
    t.equal(await ctl.ended, 0);
    const [spinner = '', table] = ctl.printed.split('\r\x1b[K');
    t.notMatch(spinner, '\n', 'the spinner stays on its line');
    t.match(table, /^NAME .*\r\nweb +running +yes /, 'which is gone when the VM is shown');
  },
);

daemonTest(
  'start --wait says at its timeout what the guest said and printed last',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineNotifyingVm(rig);
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    await notify(rig, 'STATUS=Mounting disks');
    const words = ['start', '--wait', '--timeout', '1', 'web'];
    const ctl = new RunningCtl(daemon, words, { terminal: false });
    t.equal(await ctl.ended, 1);
    t.match(
      ctl.printed,
      /is running and not ready after 1 s; its guest says: Mounting disks \(ready_timeout\)\n/,
    );
    t.match(ctl.printed, `last on its console:\n`);
    t.match(ctl.printed, `\n  ${END_OF_OEM_STRINGS}\n`);
    t.match(await daemon.call('POST', '/v1/vms/web/start?wait=ready&timeout=1'), {
      status: 504,
      json: { code: 'ready_timeout', detail: /Mounting disks/, console: /./ },
    });
  },
);

daemonTest(
  'stop --wait and kill --wait end with the VM stopped, pause --wait with it paused',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    for (const [verb, state] of [
      ['pause', 'paused'],
      ['stop', 'stopped'],
      ['kill', 'stopped'],
    ] as const) {
      if ((await daemon.show('web')).state === 'stopped') await daemon.act('web', 'start');
      t.match(
        await daemon.ctl(verb, 'web', '--wait'),
        { status: 0, stdout: new RegExp(`\\nweb +${state} `) },
        verb,
      );
    }
  },
);

daemonTest('start goes on when whoever waited is gone', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const ctl = new RunningCtl(daemon, ['start', 'web'], { terminal: false });
  await daemon.until('the start has begun', () => daemon.events.some(({ state }) => state === 'starting'));
  ctl.kill();
  await ctl.ended;
  t.match(await daemon.untilVm('web', 'runs', vm => vm.state === 'running'), { problem: null });
});
