// What vmsecretd-launch does beside a launch: --wait until the guest is booted, --stop to have it power off.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { execa } from 'execa';
import { type Test, test } from 'tap';
import { whyNotOnPath } from '../setup/programs.js';
import { type Answer, listen, says, setUpLauncher } from './launcher-for-test.js';

const skip = whyNotOnPath('curl');

/** A process that stands for the VMM, and what answers on its API socket. */
async function setUpVmm(t: Test, answer: Answer) {
  const set = setUpLauncher(t);
  await listen(t, set.apiSocket, answer);
  const vmm = execa('sleep', ['60'], { reject: false });
  t.teardown(() => vmm.kill('SIGKILL'));
  return { ...set, vmm, environment: { MAINPID: String(vmm.pid) } };
}

test('--wait ends when the daemon says that the guest is booted', { skip }, async t => {
  const { launch, adminSocket } = setUpLauncher(t);
  const requests: string[] = [];
  await listen(t, adminSocket, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    says('booted\n')(request, response);
  });
  t.match(await launch(['--wait', 'demo']), { exitCode: 0, stdout: '', stderr: '' });
  t.strictSame(requests, ['GET /v1/vms/demo/booted']);
});

test('--wait fails when the start has failed', { skip }, async t => {
  const { launch, adminSocket } = setUpLauncher(t);
  await listen(t, adminSocket, says('VM demo: cloud-hypervisor refused vm.boot\n', 502));
  t.match(await launch(['--wait', 'demo']), { exitCode: 1, stderr: /VM demo was not started/ });
});

test('--stop presses the power button of a guest that runs again, and waits for the VMM', {
  skip,
}, async t => {
  const requests: string[] = [];
  const { launch, environment, vmm } = await setUpVmm(t, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url?.endsWith('power-button')) vmm.kill('SIGTERM');
    says('', 204)(request, response);
  });
  t.equal((await launch(['--stop', 'demo'], environment)).exitCode, 0);
  t.strictSame(requests, ['PUT /api/v1/vm.resume', 'PUT /api/v1/vm.power-button']);
});

test('--stop leaves the rest of the ladder to systemd', { skip }, async t => {
  const isDeaf = await setUpVmm(t, says('', 204));
  isDeaf.leave('stop-timeout 1');
  const late = await isDeaf.launch(['--stop', 'demo'], isDeaf.environment);
  t.equal(late.exitCode, 0);
  t.ok(late.durationMs >= 1000 && late.durationMs < 10_000, `it took ${late.durationMs} ms`);
  const hasNoVm = await setUpVmm(t, says('', 500));
  t.equal((await hasNoVm.launch(['--stop', 'demo'], hasNoVm.environment)).exitCode, 0);
  t.equal((await hasNoVm.launch(['--stop', 'demo'])).exitCode, 0, 'the VMM is gone');
});

/** QEMU's control socket, as far as a stop asks it; a client at a time. Gives what it was asked. */
async function listenAsQemu(
  t: Test,
  path: string,
  status: string,
  onPowerdown: () => void,
): Promise<string[]> {
  const asked: string[] = [];
  const say = (line: object) => `${JSON.stringify(line).replaceAll(':', ': ')}\r\n`;
  const server = createServer(socket => {
    socket.write(say({ QMP: { version: {} } }));
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const { execute } = JSON.parse(line) as { execute: string };
        asked.push(execute);
        socket.write(say({ timestamp: {}, event: 'STOP' }));
        socket.write(say({ return: execute === 'query-status' ? { status } : {} }));
        if (execute === 'system_powerdown') onPowerdown();
      }
    });
    socket.on('error', () => {});
  }).listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return asked;
}

for (const [status, more] of Object.entries({
  running: ['system_powerdown'],
  paused: ['cont', 'system_powerdown'],
  // It would boot with the secrets that it has so far.
  prelaunch: [],
})) {
  test(`--stop of a QEMU that is ${status} asks for ${more.join(' and ') || 'nothing'}`, {
    skip,
  }, async t => {
    const { launch, leave, apiSocket } = setUpLauncher(t);
    leave('hypervisor qemu');
    const vmm = execa('sleep', ['60'], { reject: false });
    t.teardown(() => vmm.kill('SIGKILL'));
    const asked = await listenAsQemu(t, apiSocket, status, () => vmm.kill('SIGTERM'));
    const { exitCode, stderr } = await launch(['--stop', 'demo'], { MAINPID: String(vmm.pid) });
    t.strictSame({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    const commands = ['query-status', ...more].flatMap(command => ['qmp_capabilities', command]);
    t.strictSame(asked, commands);
  });
}
