// vmsecretctl console on a terminal: what is typed reaches the guest, Ctrl-] leaves, and operators only look.
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { NO_TERMINAL, RunningCtl } from './running-ctl.js';
import { callUnix } from './unix-api.js';
import { apiSocketOf, CLOUD_HYPERVISOR, defineVm, STAND_IN } from './vmm.js';

const options = { skip: NO_TERMINAL, config: { hypervisors: STAND_IN.hypervisors } };

async function startEchoingVm(rig: Rig): Promise<void> {
  await defineVm(STAND_IN, rig, 'web', { kernelName: 'echoes-input' });
  await rig.daemon.act('web', 'start');
  await rig.daemon.untilConsole('web', END_OF_OEM_STRINGS);
}

daemonTest('console takes what root types, byte for byte, until Ctrl-]', options, async (t, rig) => {
  await startEchoingVm(rig);
  const ctl = new RunningCtl(rig.daemon, ['console', 'web'], { terminal: true });
  await ctl.untilPrinted('Ctrl-] leaves');
  await ctl.untilPrinted(END_OF_OEM_STRINGS);
  ctl.type('root\x03\x1b[A');
  await ctl.untilPrinted('root\x03\x1b[A');
  ctl.type('last\x1d');
  t.equal(await ctl.ended, 0);
  t.match(await rig.daemon.untilConsole('web', 'last'), 'last', 'what stands before Ctrl-] is typed, too');
});

daemonTest(
  'console --no-follow cleans on a terminal, and the raw follow says that it is raw',
  options,
  async (t, rig) => {
    await startEchoingVm(rig);
    const body = '\x1b[2J\x1b]0;owned\x07clean\x1b[31m\n';
    const typing = new RunningCtl(rig.daemon, ['console', 'web'], { terminal: true });
    await typing.untilPrinted(/raw: escape sequences of the guest reach this terminal/);
    await typing.untilPrinted('Ctrl-] leaves');
    typing.type(body);
    await typing.untilPrinted('\x1b]0;owned\x07clean\x1b[31m');
    typing.type('\x1d');
    await typing.ended;
    const shown = new RunningCtl(rig.daemon, ['console', '--no-follow', 'web'], { terminal: true });
    t.equal(await shown.ended, 0);
    t.match(shown.printed, 'clean');
    t.match(shown.printed, END_OF_OEM_STRINGS);
    t.notMatch(shown.printed, '\x1b');
    t.notMatch(shown.printed, 'owned');
    const piped = new RunningCtl(rig.daemon, ['console', '--no-follow', 'web'], { terminal: false });
    t.equal(await piped.ended, 0);
    t.match(piped.printed, '\x1b]0;owned\x07clean\x1b[31m', 'a program gets all of it');
  },
);

daemonTest('console says that the daemon is gone, and gives the terminal back', options, async (t, rig) => {
  await startEchoingVm(rig);
  const ctl = new RunningCtl(rig.daemon, ['console', 'web', ';', 'stty', '-a'], { terminal: true });
  await ctl.untilPrinted(END_OF_OEM_STRINGS);
  await ctl.untilPrinted('Ctrl-] leaves');
  await rig.daemon.kill9();
  await ctl.ended;
  t.match(ctl.printed, /the console of web was cut off: the daemon is gone/);
  t.match(ctl.printed, / icanon /, 'lines are edited again');
  await rig.daemon.restart();
});

daemonTest('console shows operators all and takes nothing of them', options, async (t, rig) => {
  await startEchoingVm(rig);
  const ctl = new RunningCtl(rig.daemon, ['console', 'web'], { terminal: true, socket: 'vmsecretd' });
  await ctl.untilPrinted(END_OF_OEM_STRINGS);
  ctl.type('root\r');
  await ctl.untilPrinted(/is for root, on admin\.sock: sudo vmsecretctl/);
  const { body } = await rig.daemon.call('GET', '/v1/vms/web/console');
  t.notMatch(body.toString(), 'root', 'the guest got nothing');
  ctl.type('\x1d');
  t.equal(await ctl.ended, 0);
});

for (const vmm of [CLOUD_HYPERVISOR, STAND_IN]) {
  const ofVmm = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(
    `${vmm.name}: all that a guest prints while the daemon has no time, to its last byte`,
    ofVmm,
    async (t, rig) => {
      const { daemon } = rig;
      const TEXT = { text: 'x'.repeat(6_000) };
      await defineVm(vmm, rig, 'web', { more: { credentials: { TEXT } } });
      await daemon.act('web', 'start');
      await daemon.untilConsole('web', END_OF_OEM_STRINGS);
      daemon.signal('SIGSTOP');
      const call = { socketPath: apiSocketOf(rig, 'web'), method: 'PUT', path: '/api/v1/vm.reboot' };
      await callUnix({ ...call, timeoutMs: TIMEOUT_MS });
      daemon.signal('SIGCONT');
      const twice = new RegExp(`(${END_OF_OEM_STRINGS}[^]*){2}`);
      t.match(await daemon.untilConsole('web', twice), twice);
    },
  );
}
