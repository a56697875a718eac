// Starts, and every error that a daemon can be made to give, at log level trace, with the search for the secret while VMs run.
// VMSECRETD_LEAK_ROUNDS chooses how many starts.
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import type { Test } from 'tap';
import { ERROR_TABLE, type ErrorCode } from '../../src/errors.js';
import { daemonTest, type Rig, searchEverywhere } from './daemon-test.js';
import { type Answer, callUnix } from './unix-api.js';
import { defineVm, STAND_IN, type VmOptions } from './vmm.js';

/** Not to be had here: of another architecture, of errors in the program, of a crowd (crowds.test.ts), of a guest (refresh.test.ts). */
const ELSEWHERE = ['architecture_unsupported', 'internal', 'busy', 'refresh_failed'];

const sealed = ({ daemon }: Rig) => join(daemon.secrets, 'canary.age');

async function start(
  rig: Rig,
  options: VmOptions,
  spoil: () => unknown = () => {},
  query = '',
): Promise<Answer> {
  await defineVm(STAND_IN, rig, 'fails', options);
  await spoil();
  return rig.daemon.call('POST', `/v1/vms/fails/start${query}`);
}

/** What is refused before it is kept. */
const put = ({ daemon, canary }: Rig, more: object) =>
  daemon.call('PUT', '/v1/vms/fails', {
    command: ['--kernel', '/dev/null'],
    credentials: { CANARY: { text: canary.text } },
    ...more,
  });

const withCredential = (name: string, source: object) => ({ more: { credentials: { [name]: source } } });
const withCommand = (...command: string[]) => ({ more: { command: ['--kernel', '/dev/null', ...command] } });

/** Each with the secret at hand, and in the request where there is a place for it. */
const ERRORS: Readonly<Record<string, (rig: Rig) => Promise<Answer>>> = {
  request_invalid: ({ daemon, canary }) =>
    daemon.call('POST', '/v1/convert', { command: { value: canary.text } }),
  forbidden: ({ daemon, canary }) =>
    daemon.call('PUT', '/v1/vms/fails', { credentials: { A: { text: canary.text } } }, 'vmsecretd'),
  method_not_allowed: ({ daemon, canary }) => daemon.call('DELETE', `/v1/health?value=${canary.text}`),
  precondition_failed: async ({ daemon, canary }) => {
    const answer = await callUnix({
      socketPath: daemon.socket('admin'),
      method: 'PUT',
      path: '/v1/vms/other',
      body: { command: ['--kernel', '/dev/null'], credentials: { A: { text: canary.text } } },
      headers: { 'if-match': '*' },
      timeoutMs: 60_000,
    });
    daemon.said.push(answer.body);
    return answer;
  },
  vm_unknown: ({ daemon }) => daemon.call('POST', '/v1/vms/nobody/start'),
  state_conflict: async rig => {
    await defineVm(STAND_IN, rig, 'fails');
    return rig.daemon.call('POST', '/v1/vms/fails/pause');
  },
  resource_conflict: rig => start(rig, { more: { command: ['--kernel', '/nowhere'] } }),
  definition_from_file: async ({ daemon, canary }) => {
    writeFileSync(
      join(daemon.definitions, 'filed.json'),
      JSON.stringify({ command: ['--kernel', '/dev/null'] }),
    );
    await daemon.call('POST', '/v1/reload');
    return daemon.call('PUT', '/v1/vms/filed', { credentials: { A: { text: canary.text } } });
  },
  definition_invalid: ({ daemon, canary }) =>
    daemon.call('PUT', '/v1/vms/fails', { restart: canary.text, startTimeoutSeconds: canary.text }),
  command_invalid: rig => start(rig, withCommand('-v')),
  needs_file_descriptors: rig => start(rig, withCommand('--net', 'fd=3')),
  secret_missing: rig => start(rig, {}, () => rmSync(sealed(rig))),
  secret_unreadable: rig => start(rig, withCredential('FOLDER', { file: rig.daemon.secrets })),
  secret_no_identity: rig =>
    start(rig, {}, async () => {
      const encrypter = new Encrypter();
      encrypter.addRecipient(await identityToRecipient(await generateIdentity()));
      writeFileSync(sealed(rig), await encrypter.encrypt(rig.canary.text));
    }),
  secret_corrupt: rig => start(rig, {}, () => truncateSync(sealed(rig), 200)),
  secret_too_large: rig =>
    start(rig, withCredential('LARGE', { file: join(rig.daemon.secrets, 'large') }), () =>
      writeFileSync(join(rig.daemon.secrets, 'large'), rig.canary.text.repeat(20_000)),
    ),
  credential_name_invalid: rig => put(rig, { credentials: { 'A=B': { text: rig.canary.text } } }),
  credential_duplicate: rig => put(rig, { oemStrings: [`io.systemd.credential:CANARY=${rig.canary.text}`] }),
  credentials_too_large: async rig =>
    start(rig, withCredential('HUGE', { age: await rig.daemon.seal('huge', rig.canary.text.repeat(900)) })),
  credentials_too_many: rig =>
    put(rig, { oemStrings: Array.from({ length: 255 }, (_, at) => `${rig.canary.text}${at}`) }),
  vmm_missing: rig => start(rig, { more: { hypervisor: 'qemu', command: ['-nodefaults'] } }),
  vmm_refused: rig => start(rig, { kernelName: 'refuses-boot' }),
  supervisor_failed: rig => start(rig, { more: { preStart: [['false']] } }),
  vmm_timeout: rig => start(rig, { kernelName: 'hangs-on-boot', more: { startTimeoutSeconds: 1 } }),
  ready_timeout: async rig => {
    const kernel = join(rig.daemon.folder, 'fails.elf');
    const command = [...STAND_IN.command(kernel), '--vsock', 'cid=3,socket=v.sock'];
    const answer = await start(
      rig,
      { more: { command, ready: 'notify' } },
      undefined,
      '?wait=ready&timeout=1',
    );
    await rig.daemon.act('fails', 'kill');
    return answer;
  },
};
const CODES = Object.keys(ERRORS);
const ROUNDS = Number(process.env.VMSECRETD_LEAK_ROUNDS ?? CODES.length);
/** Of the search, which reads all of /proc. */
const SEARCH_EVERY = 10;

const options = {
  config: {
    hypervisors: { ...STAND_IN.hypervisors, qemu: { path: '/nowhere/qemu' } },
    log: { level: 'trace' },
  },
  fileTimeoutMs: 300_000 + ROUNDS * 3_000,
};

async function startAndEnd(t: Test, rig: Rig, round: number): Promise<void> {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'works');
  await daemon.act('works', 'start');
  if (round % SEARCH_EVERY === 0) t.strictSame(searchEverywhere(rig), [], `round ${round}, while it runs`);
  await daemon.act('works', round % 3 === 0 ? 'stop' : round % 3 === 1 ? 'kill' : 'restart');
  if (round % 3 === 2) await daemon.act('works', 'kill');
}

daemonTest(
  `no secret leaks in ${ROUNDS} starts with an error of each code between them`,
  options,
  async (t, rig) => {
    t.strictSame(
      [...CODES, ...ELSEWHERE].toSorted(),
      Object.keys(ERROR_TABLE).toSorted(),
      'every code has its turn',
    );
    const { daemon } = rig;
    mkdirSync(daemon.secrets, { recursive: true });
    for (let round = 0; round < ROUNDS; round += 1) {
      const code = CODES[round % CODES.length] as ErrorCode;
      t.match(await ERRORS[code]?.(rig), { json: { code, status: ERROR_TABLE[code].status } }, code);
      await startAndEnd(t, rig, round);
      // What was searched need not be searched again.
      if (round % SEARCH_EVERY === 0) daemon.said.length = 0;
    }
  },
);
