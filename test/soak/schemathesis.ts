// Asks a daemon what openapi.json promises, thousands of times, by schemathesis (CONTRIBUTING.md says how to install it).
// It speaks TCP, so that each of its connections, one a request, is passed on to admin.sock and counted by its status here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { TestDaemon } from '../integration/daemon.js';
import { daemonTest, type Rig } from '../integration/daemon-test.js';
import { defineVm, STAND_IN } from '../integration/vmm.js';
import { whyNotOnPath } from '../setup/programs.js';

const MINIMUM_CASES = Number(process.env.VMSECRETD_CASES ?? 5_000);
/** Of each of the 22 operations; the coverage phase makes some hundred more. */
const EXAMPLES = Math.ceil(MINIMUM_CASES / 20);
const PROGRAM = process.env.SCHEMATHESIS ?? 'schemathesis';

const CHECKS = [
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'use_after_free',
];

/** Two that have a file, and one that comes and goes by PUT and DELETE. */
const NAMES = ['web', 'db', 'kept'];

interface Operation {
  parameters?: { name: string; schema: object }[];
}

interface OpenApi {
  paths: Record<string, Record<string, Operation>>;
}

/** Names that there are beside any other, no stream and no wait for the end of a VM: no case of these would come to an end. */
function narrow({ paths, ...rest }: OpenApi): OpenApi {
  const { '/v1/events': _, ...others } = paths;
  for (const operation of Object.values(others).flatMap(methods => Object.values(methods))) {
    const parameters = (operation.parameters ?? []).filter(({ name }) => name !== 'follow');
    for (const parameter of parameters) {
      if (parameter.name === 'name') parameter.schema = { anyOf: [{ enum: NAMES }, parameter.schema] };
      if (parameter.name === 'wait')
        parameter.schema = { type: 'string', enum: ['none', 'running', 'ready'] };
    }
    operation.parameters = parameters;
  }
  return { ...rest, paths: others };
}

async function defineByFile(rig: Rig): Promise<void> {
  const { daemon } = rig;
  for (const name of ['web', 'db']) {
    const more = { restart: 'no', stopTimeoutSeconds: 1 };
    const definition = await defineVm(STAND_IN, rig, name, { more });
    await daemon.call('DELETE', `/v1/vms/${name}`);
    writeFileSync(join(daemon.definitions, `${name}.json`), JSON.stringify(definition));
  }
  await daemon.call('POST', '/v1/reload');
}

/** @returns its URL, and how often each status was answered */
async function forward(t: Test, daemon: TestDaemon): Promise<{ url: string; statuses: Map<string, number> }> {
  const statuses = new Map<string, number>();
  const server = createServer(client => {
    const socket = connect(daemon.socket('admin'));
    socket.once('data', bytes => {
      const status = bytes.toString('latin1', 9, 12);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    for (const end of [client, socket]) end.on('error', () => {});
    client.pipe(socket).pipe(client);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, statuses };
}

const options = {
  skip: PROGRAM.includes('/') ? false : whyNotOnPath(PROGRAM),
  config: { hypervisors: STAND_IN.hypervisors },
  fileTimeoutMs: 3_600_000,
};

daemonTest('answers as openapi.json says, whatever is asked', options, async (t, rig) => {
  const { daemon } = rig;
  await defineByFile(rig);
  const { url, statuses } = await forward(t, daemon);
  const spec = join(daemon.folder, 'openapi.json');
  writeFileSync(spec, JSON.stringify(narrow((await daemon.call('GET', '/openapi.json')).json as OpenApi)));
  const child = spawn(
    PROGRAM,
    [
      'run',
      spec,
      '--url',
      url,
      '--checks',
      CHECKS.join(),
      '--max-examples',
      `${EXAMPLES}`,
      '--continue-on-failure',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], cwd: daemon.folder },
  );
  let report = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    report += text;
  });
  const [status] = await once(child, 'close');
  // Not as a comment of TAP, which would read a part of it as its own.
  if (status !== 0) process.stderr.write(report);
  const told = [...statuses].toSorted().map(([code, count]) => `${count} × ${code}`);
  const cases = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  t.equal(status, 0, 'schemathesis found nothing');
  t.ok(cases >= MINIMUM_CASES, `${cases} cases: ${told.join(', ')}`);
  t.notOk(statuses.has('500'), 'nothing went wrong inside');
  t.strictSame(
    daemon.log.filter(({ msg }) => msg === 'request failed' || msg === 'internal error'),
    [],
  );
});
