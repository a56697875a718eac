// Every measured line that a real program can take as JSON: `vm.create` gets our conversion, and `vm.info` must then be the
// configuration that the program itself made of the command line, and nothing may seem lost. `vm.create` does not judge it
// yet, so the lines that the program refuses at boot are in. What is meant for a newer release must be seen to be dropped.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, watch } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { systemErrorCode } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { findLoss } from '../../../src/hypervisor/cloud-hypervisor/read-back.js';
import { REFERENCE_RELEASE, type Release } from '../../../src/hypervisor/cloud-hypervisor/release.js';
import type { VmConfig } from '../../../src/hypervisor/cloud-hypervisor/vm-config.js';
import { stringifyExactly } from '../../../src/hypervisor/exact-json.js';
import { realPrograms } from '../../setup/cloud-hypervisors.js';
import {
  firstDifference,
  MEASURED,
  type MeasuredFile,
  type MeasuredLine,
  readCommandLines,
  releaseOf,
} from './command-lines.js';

const START_DEADLINE_MS = 10_000;

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

async function startVmm(program: string, socketPath: string): Promise<ChildProcess> {
  const appeared = new Promise<void>((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('no API socket')), START_DEADLINE_MS);
    const watcher = watch(folder, (_event, name) => {
      if (name !== 'api.sock') return;
      clearTimeout(deadline);
      watcher.close();
      resolve();
    });
  });
  const vmm = spawn(program, ['--api-socket', socketPath], {
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

/** The path of a pty is the kernel's choice, and a random MAC address the program's, as is whether there is a virtual IOMMU. */
function withoutChosen(config: VmConfig, line: MeasuredLine): VmConfig {
  for (const console of [config.console, config.serial, config.debug_console as VmConfig['serial']]) {
    if (console?.mode === 'Pty') delete console.file;
  }
  delete config.iommu;
  delete line.full?.iommu;
  if (line.randomMac) for (const net of config.net ?? []) delete net.mac;
  return config;
}

interface Created {
  config: VmConfig;
  /** What the read-back says. */
  loss: string | undefined;
}

async function create(program: string, sent: string): Promise<Created> {
  const socketPath = join(folder, 'api.sock');
  const vmm = await startVmm(program, socketPath);
  try {
    await call(socketPath, 'PUT', 'vm.create', sent);
    const info = await call(socketPath, 'GET', 'vm.info');
    const { config } = JSON.parse(info) as { config: VmConfig };
    return { config, loss: findLoss(Buffer.from(sent), Buffer.from(info)) };
  } finally {
    vmm.kill('SIGKILL');
    await once(vmm, 'exit');
    for (const name of ['api.sock', 's.sock']) rmSync(join(folder, name), { force: true });
  }
}

/** What is wrong; undefined when `vm.info` shows what the line means. */
async function createAndCompare(
  program: string,
  release: Release,
  line: MeasuredLine,
): Promise<string | undefined> {
  try {
    const sent = stringifyExactly(convertCommand(line.argv, release).vmConfig);
    const { config, loss } = await create(program, sent);
    if (loss !== undefined) return `${loss} is said to be lost`;
    const seen = withoutNulls(withoutChosen(config, line));
    const meant = withoutNulls(line.full);
    const difference = firstDifference(meant, seen) ?? firstDifference(seen, meant);
    return difference && `${difference} differs`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What is not there is shown as null by some releases. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === null ? [] : [[key, withoutNulls(inner)]])),
  );
}

/** Lines that the program takes; Landlock opens every file of its line, disks and kernels of other machines among them. */
function takenLines(file: MeasuredFile): MeasuredLine[] {
  return readCommandLines(file)
    .filter(({ full }) => full !== undefined && full.landlock_enable !== true)
    .map(line => JSON.parse(JSON.stringify(line).replaceAll('/tmp/', `${folder}/`)) as MeasuredLine);
}

/** On a busy machine, for one program. */
const TIMEOUT_MS = 240_000;

const programs = realPrograms();
t.setTimeout(TIMEOUT_MS * programs.length);
for (const { name, program, release = REFERENCE_RELEASE, skip } of programs) {
  const files = (Object.keys(MEASURED) as MeasuredFile[]).filter(
    file => releaseOf(MEASURED[file].release) === release,
  );
  t.test(
    `${name} creates from our JSON what it makes of the line itself, and nothing seems lost`,
    { skip: skip || (files.length === 0 && `no lines were measured on ${name}`), timeout: TIMEOUT_MS },
    async t => {
      const wrong: unknown[] = [];
      const lines = files.flatMap(takenLines);
      for (const line of lines) {
        const problem = await createAndCompare(program, release, line);
        if (problem !== undefined) wrong.push({ id: line.id, problem });
      }
      t.same(wrong, []);
      t.comment(`${lines.length} created on ${name}`);
      t.ok(lines.length > 150);
    },
  );

  t.test(
    `${name}: what is meant for a newer release is seen to be dropped`,
    { skip: skip || release >= 53_00 },
    async t => {
      const uuid = { platform: { system_uuid: 'u', oem_strings: [] } };
      t.equal((await create(program, JSON.stringify(uuid))).loss, 'platform.system_uuid');
      const memory = { memory: { size: 2 ** 26, reserve: true }, platform: { oem_strings: [] } };
      t.equal((await create(program, JSON.stringify(memory))).loss, 'memory.reserve');
    },
  );
}
