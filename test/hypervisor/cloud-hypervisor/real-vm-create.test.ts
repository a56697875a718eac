// Every measured line that the real program can take as JSON: `vm.create` gets our conversion, and `vm.info`
// must then be the configuration that the program itself made of the command line. `vm.create` does not judge it
// yet, so the lines that the program refuses at boot are in.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, watch } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { systemErrorCode } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { stringifyVmConfig, type VmConfig } from '../../../src/hypervisor/cloud-hypervisor/vm-config.js';
import { firstDifference, type MeasuredLine, readCommandLines } from './command-lines.js';

const PROGRAM = 'cloud-hypervisor';
const START_DEADLINE_MS = 10_000;
const isHere = spawnSync(PROGRAM, ['--version']).status === 0;

/** Short, since it holds UNIX sockets. The lines' own /tmp is moved here. */
const folder = mkdtempSync('/tmp/vmsecretd-');
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

function call(socketPath: string, method: 'GET' | 'PUT', name: string, body?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const path = `/api/v1/${name}`;
    const outgoing = request({ socketPath, method, path, headers, agent: false }, response => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', chunk => {
        text += chunk;
      });
      response.on('end', () =>
        (response.statusCode ?? 500) < 300
          ? resolve(text)
          : reject(new Error(`${name}: ${response.statusCode} ${text}`)),
      );
    });
    outgoing.on('error', reject).end(body);
  });
}

async function startVmm(socketPath: string): Promise<ChildProcess> {
  const appeared = new Promise<void>((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('no API socket')), START_DEADLINE_MS);
    const watcher = watch(folder, (_event, name) => {
      if (name !== 'api.sock') return;
      clearTimeout(deadline);
      watcher.close();
      resolve();
    });
  });
  const vmm = spawn(PROGRAM, ['--api-socket', socketPath], {
    cwd: folder,
    stdio: 'ignore',
    env: { ...process.env, MALLOC_ARENA_MAX: '1' },
  });
  await appeared;
  await firstAnswer(socketPath);
  return vmm;
}

/** The socket is bound, and so appears, a moment before the program listens on it. */
async function firstAnswer(socketPath: string): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS;
  for (;;) {
    try {
      await call(socketPath, 'GET', 'vmm.ping');
      return;
    } catch (error) {
      if (systemErrorCode(error) !== 'ECONNREFUSED' || Date.now() > deadline) throw error;
    }
  }
}

/** The path of a pty is the kernel's choice, and a random MAC address the program's. */
function withoutChosen(config: VmConfig, line: MeasuredLine): VmConfig {
  for (const console of [config.console, config.serial, config.debug_console as VmConfig['serial']]) {
    if (console?.mode === 'Pty') delete console.file;
  }
  if (line.randomMac) for (const net of config.net ?? []) delete net.mac;
  return config;
}

/** What is wrong; undefined when `vm.info` shows what the line means. */
async function createAndCompare(line: MeasuredLine): Promise<string | undefined> {
  const socketPath = join(folder, 'api.sock');
  const vmm = await startVmm(socketPath);
  try {
    await call(socketPath, 'PUT', 'vm.create', stringifyVmConfig(convertCommand(line.argv).vmConfig));
    const { config } = JSON.parse(await call(socketPath, 'GET', 'vm.info')) as { config: VmConfig };
    const seen = withoutChosen(config, line);
    const difference = firstDifference(line.full, seen) ?? firstDifference(seen, line.full);
    return difference && `${difference} differs`;
  } catch (error) {
    return (error as Error).message;
  } finally {
    vmm.kill('SIGKILL');
    await once(vmm, 'exit');
    for (const name of ['api.sock', 's.sock']) rmSync(join(folder, name), { force: true });
  }
}

t.test(
  'the real program creates from our JSON what it makes of the line itself',
  { skip: isHere ? false : `${PROGRAM} is not on PATH`, timeout: 120_000 },
  async t => {
    const lines = [
      ...readCommandLines('cloud-hypervisor-v53/command-lines'),
      ...readCommandLines('cloud-hypervisor-v53/microvm-nix-command-lines'),
    ]
      .filter(line => line.full !== undefined)
      .map(line => JSON.parse(JSON.stringify(line).replaceAll('/tmp/', `${folder}/`)) as MeasuredLine);
    // Landlock opens every file of the line, disks and kernels of other machines among them.
    const fakeable = lines.filter(line => line.full?.landlock_enable !== true);
    const wrong: unknown[] = [];
    for (const line of fakeable) {
      const problem = await createAndCompare(line);
      if (problem !== undefined) wrong.push({ id: line.id, problem });
    }
    t.same(wrong, []);
    t.comment(`${fakeable.length} created, ${lines.length - fakeable.length} left out for --landlock`);
    t.ok(fakeable.length > 300);
  },
);
