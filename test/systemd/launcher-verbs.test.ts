// What vmsecretd-launch does beside a launch: --wait until the guest runs, --stop to have it power off.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Test, test } from 'tap';
import { whyNotOnPath } from '../setup/programs.js';
import { type Answer, listen, prepare, says } from './launcher-for-test.js';

const API_SOCKET = 'vms/demo/api.sock';
const skip = whyNotOnPath('curl');

/** A process that stands for the VMM, and a socket that its launcher asks: its own, or the daemon's. */
async function prepareVmm(t: Test, socket: string, answer: Answer) {
  const prepared = await prepare(t);
  mkdirSync(join(prepared.runtime, 'vms/demo'), { recursive: true });
  await listen(t, join(prepared.runtime, socket), answer);
  const vmm = execa('sleep', ['60'], { reject: false });
  t.teardown(() => vmm.kill('SIGKILL'));
  return { ...prepared, vmm, environment: { MAINPID: String(vmm.pid) } };
}

test('--wait ends when the daemon says that this very VMM runs', { skip }, async t => {
  const requests: string[] = [];
  const states = [
    { state: 'running', ready: true, pid: 1 },
    { state: 'starting', ready: false, pid: null },
  ];
  const { launch, environment } = await prepareVmm(t, 'vmsecretd.sock', (request, response, body) => {
    requests.push(`${request.method} ${request.url}`);
    const now = states.shift() ?? { state: 'running', ready: false, pid: Number(environment.MAINPID) };
    says(JSON.stringify({ name: 'demo', ...now, restarts: 0 }))(request, response, body);
  });
  const { exitCode, stdout } = await launch(['--wait', 'demo'], environment);
  t.strictSame({ exitCode, stdout }, { exitCode: 0, stdout: '' });
  t.strictSame(requests, Array(3).fill('GET /v1/vms/demo'));
});

test('--wait fails when the VMM is gone first', { skip }, async t => {
  const { launch, environment, vmm } = await prepareVmm(t, 'vmsecretd.sock', (request, response, body) => {
    vmm.kill('SIGKILL');
    says('{"state":"starting"}')(request, response, body);
  });
  const { exitCode, stderr } = await launch(['--wait', 'demo'], environment);
  t.equal(exitCode, 1);
  t.match(stderr, /VM demo: it was not booted/);
});

test('--stop presses the power button of a guest that runs again, and waits for the VMM', {
  skip,
}, async t => {
  const requests: string[] = [];
  const { launch, environment, vmm } = await prepareVmm(t, API_SOCKET, (request, response, body) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url?.endsWith('power-button')) vmm.kill('SIGTERM');
    says('', 204)(request, response, body);
  });
  const { exitCode } = await launch(['--stop', 'demo'], environment);
  t.equal(exitCode, 0);
  t.strictSame(requests, ['PUT /api/v1/vm.resume', 'PUT /api/v1/vm.power-button']);
});

test('--stop leaves the rest of the ladder to systemd', { skip }, async t => {
  const isDeaf = await prepareVmm(t, API_SOCKET, says('', 204));
  writeFileSync(join(isDeaf.runtime, 'vms/demo/stop-timeout'), '1\n');
  const late = await isDeaf.launch(['--stop', 'demo'], isDeaf.environment);
  t.equal(late.exitCode, 0);
  t.ok(late.durationMs >= 1000 && late.durationMs < 10_000, `it took ${late.durationMs} ms`);
  const hasNoVm = await prepareVmm(t, API_SOCKET, says('', 500));
  t.equal((await hasNoVm.launch(['--stop', 'demo'], hasNoVm.environment)).exitCode, 0);
  t.equal((await hasNoVm.launch(['--stop', 'demo'])).exitCode, 0, 'the VMM is gone');
});
