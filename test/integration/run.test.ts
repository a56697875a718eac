// vmsecretctl run: a VM as a process of whoever starts it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { CTL, type TestDaemon, TIMEOUT_MS } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, STAND_IN } from './vmm.js';

const VMM = CLOUD_HYPERVISOR.skip ? STAND_IN : CLOUD_HYPERVISOR;
const options = { config: { hypervisors: VMM.hypervisors } };

function run(daemon: TestDaemon, ...words: string[]) {
  const child = spawn(process.execPath, [CTL, 'run', ...words], {
    env: { PATH: process.env.PATH, VMSECRETD_SOCKET: daemon.socket('admin') },
    timeout: TIMEOUT_MS,
  });
  let printed = '';
  let said = '';
  child.stdout.setEncoding('latin1').on('data', text => {
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const ended = once(child, 'close').then(([status]) => ({ status, printed, said }));
  return { child, ended, printed: () => printed };
}

daemonTest('run prints the console to its end, and exits as the guest does', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(VMM, rig, 'job', { after: 'power-off' });
  for (const round of [1, 2]) {
    const { status, printed, said } = await run(daemon, 'job').ended;
    t.equal(status, 0, `round ${round}: ${said}`);
    t.equal(printed.split(END_OF_OEM_STRINGS).length, 2, 'all of this run, and nothing of another');
  }
  t.match(await daemon.show('job'), { state: 'stopped' });
});

daemonTest('run stops its VM at SIGTERM, and tells a VMM that was killed', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(VMM, rig, 'web');
  const running = run(daemon, 'web');
  await daemon.untilVm('web', 'runs', vm => vm.state === 'running');
  running.child.kill('SIGTERM');
  t.match(await running.ended, { status: 0, printed: END_OF_OEM_STRINGS, said: '' });
  t.match(await daemon.show('web'), { state: 'stopped' });
  const killed = run(daemon, 'web');
  const { pid } = await daemon.untilVm('web', 'runs', vm => vm.state === 'running');
  process.kill(pid ?? 0, 'SIGKILL');
  t.match(await killed.ended, { status: 137 });
  await daemon.define('web', { supervisor: 'daemon', command: ['--kernel', '/nowhere'] });
  t.match(await run(daemon, 'web').ended, { status: 1, said: /\/nowhere does not exist/ });
});

daemonTest('run --rm takes a definition from stdin and leaves nothing', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(VMM, rig, 'job', { after: 'power-off' });
  const taken = run(daemon, 'job', '--rm');
  taken.child.stdin.end(JSON.stringify(definition));
  t.match(await taken.ended, { status: 1, said: /precondition_failed/ }, 'a VM that is there stays');
  t.match(await daemon.show('job'), { name: 'job' });
  const fresh = run(daemon, 'job-1', '--rm');
  fresh.child.stdin.end(JSON.stringify(definition));
  t.match(await fresh.ended, { status: 0, printed: END_OF_OEM_STRINGS, said: '' });
  t.match(await daemon.call('GET', '/v1/vms/job-1'), { status: 404 });
  const broken = run(daemon, 'job-2', '--rm');
  broken.child.stdin.end('{');
  t.match(await broken.ended, { status: 1, said: /standard input is not JSON/ });
});
