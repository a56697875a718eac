import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { resolveOperatorGroup } from '../../src/http/daemon-sockets.js';
import { makeFifos } from '../../src/hypervisor/fifos.js';
import { accessAs } from '../../src/system/access-as.js';
import { findMissingPrograms, HOST_PROGRAMS } from '../../src/system/host-programs.js';
import { createSystemctl } from '../../src/system/systemctl.js';
import { resolveGroup, resolveUser } from '../../src/system/users.js';

const ids = { uid: 0, gid: 0 };

t.test('a program that is not on PATH is named, and never reads as what it would have answered', async t => {
  const empty = t.testdir();
  const before = process.env.PATH;
  t.teardown(() => {
    process.env.PATH = before;
  });
  process.env.PATH = empty;
  const attempts: Record<string, () => Promise<unknown>> = {
    getent: () => resolveGroup('root'),
    id: () => resolveUser('web', 'root', undefined),
    mkfifo: () => makeFifos(empty, 1),
    prlimit: () => accessAs(ids, [{ path: '/dev/null', mode: 'write' }]),
    systemctl: () => createSystemctl().show('web.service'),
  };
  for (const [program, attempt] of Object.entries(attempts)) {
    const message = `${program}: it cannot be run (ENOENT); add the folder that has it to PATH, which is ${empty}`;
    await t.rejects(attempt(), { code: 'supervisor_failed', message }, program);
  }
  await t.rejects(resolveOperatorGroup('root', 'config.json'), { message: /^getent: it cannot be run/ });
});

t.test('only getent’s own "not found" means that a group does not exist', async t => {
  const folder = t.testdir();
  await writeFile(join(folder, 'getent'), '#!/bin/sh\necho "no such database" >&2\nexit 1\n');
  await chmod(join(folder, 'getent'), 0o755);
  const before = process.env.PATH;
  t.teardown(() => {
    process.env.PATH = before;
  });
  process.env.PATH = `${folder}:${before}`;
  await t.rejects(resolveGroup('root'), { message: 'getent group -- root: no such database' });
});

t.test('finds which declared programs are missing, those of systemd on its hosts only', async t => {
  const folder = t.testdir();
  const missing = await findMissingPrograms(folder, false);
  t.ok(missing.includes('getent'));
  t.notOk(missing.includes('systemctl'));
  t.ok((await findMissingPrograms(folder, true)).includes('systemctl'));
  for (const program of Object.keys(HOST_PROGRAMS))
    await writeFile(join(folder, program), '', { mode: 0o755 });
  t.strictSame(await findMissingPrograms(folder, true), []);
});
