import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Deliverers } from '../../src/delivery/deliverers.js';
import { type ErrorCode, VmsecretdError } from '../../src/errors.js';
import { PathWatch } from '../../src/system/path-watch.js';
import { PatientLooks } from '../../src/system/patient-looks.js';
import { SecretRetry } from '../../src/watch/secret-retry.js';
import { Changes } from '../setup/changes.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeVm } from '../vm/vm-for-test.js';

const deliverers = new Deliverers({
  path: process.env.PATH ?? '',
  digestKeyPath: join(t.testdir({}), 'digest-key'),
});
t.teardown(() => deliverers.close());

function failVm(t: Test, json: Record<string, unknown> = {}) {
  const folder = socketFolder(t);
  const secret = join(folder, 'secret');
  const events = makeEvents();
  const vm = makeVm(folder, defineVm('my-app', { credentials: { KEY: { file: secret } }, ...json }), events);
  const starts = new Changes<'start'>();
  const asked = new Changes<'digest'>();
  const looks = new PatientLooks({ onSilence: path => t.fail(`${path} does not answer`) });
  const pathWatch = new PathWatch({ looks, onProblem: folder => t.fail(`cannot watch ${folder}`) });
  const retry = new SecretRetry({
    events,
    findVm: () => vm,
    pathWatch,
    digest: async sources => {
      const digests = await deliverers.digest(sources, AbortSignal.timeout(120_000));
      // Told once the answer was taken.
      setImmediate(() => asked.push('digest'));
      return digests;
    },
    start: async () => {
      starts.push('start');
    },
    onProblem: error => t.fail(String(error)),
  });
  t.teardown(() => retry.close());
  t.teardown(() => pathWatch.close());
  const fail = (code: ErrorCode) => {
    vm.transition('start');
    vm.fail(new VmsecretdError(code, 'it is so'), 'start-failed');
  };
  const looked = async (times: number) => {
    await asked.until(`${times} looks`, seen => seen.length >= times);
    asked.forget();
  };
  return { vm, secret, starts, fail, looked, pathWatch };
}

t.test('a VM whose secret was missing is started when the file appears', async t => {
  const { secret, starts, fail, looked, vm, pathWatch } = failVm(t);
  fail('secret_missing');
  await looked(1);
  t.equal(starts.seen.length, 0);
  writeFileSync(secret, 'here');
  await starts.until('a start', seen => seen.length === 1);
  // The same content is not tried twice.
  fail('secret_missing');
  await looked(1);
  rmSync(secret);
  await looked(1);
  writeFileSync(secret, 'here');
  await looked(1);
  t.equal(starts.seen.length, 1);
  vm.transition('ended');
  t.equal(pathWatch.folderCount, 0);
});

t.test('a file that came before the watch is not missed', async t => {
  const { secret, starts, fail } = failVm(t);
  writeFileSync(secret, 'here');
  fail('secret_missing');
  await starts.until('a start', seen => seen.length === 1);
});

t.test('a damaged secret is tried again when it changes, not before', async t => {
  const { secret, starts, fail, looked } = failVm(t);
  writeFileSync(secret, 'damaged');
  fail('secret_corrupt');
  await looked(1);
  t.equal(starts.seen.length, 0);
  writeFileSync(secret, 'mended');
  await starts.until('a start', seen => seen.length === 1);
});

t.test('a clock that is set back delays no start', async t => {
  const { secret, starts, fail } = failVm(t);
  fail('secret_missing');
  writeFileSync(secret, 'first');
  await starts.until('a start', seen => seen.length === 1);
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  Date.now = () => now() - 3_600_000;
  fail('secret_missing');
  writeFileSync(secret, 'second');
  await starts.until('another start', seen => seen.length === 2);
});

t.test('neither restart "no" nor another problem waits for secrets', async t => {
  const never = failVm(t, { restart: 'no' });
  never.fail('secret_missing');
  const other = failVm(t);
  other.fail('vmm_refused');
  t.equal(never.pathWatch.folderCount + other.pathWatch.folderCount, 0);
});
