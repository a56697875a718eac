import { chmodSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkSockets } from '../../../src/cli/doctor/sockets.js';

const MODES = { 'admin.sock': 0o600, 'vmsecretd.sock': 0o660 };

/** What counts of a socket here is its mode and owner, which a file has, too. */
function makeSockets(t: Test): string {
  const folder = t.testdir(Object.fromEntries(Object.keys(MODES).map(name => [name, ''])));
  chmodSync(folder, 0o755);
  for (const [name, mode] of Object.entries(MODES)) chmodSync(join(folder, name), mode);
  return folder;
}
const findWrong = async (folder: string, group?: string) =>
  (await checkSockets(join(folder, 'admin.sock'), group)).filter(({ level }) => level === 'wrong');

t.test('finds nothing wrong with sockets that are as the daemon makes them', async t => {
  t.strictSame(await findWrong(makeSockets(t)), []);
});

t.test('names a mode that is too wide or too narrow, and a folder that others write', async t => {
  const folder = makeSockets(t);
  chmodSync(join(folder, 'admin.sock'), 0o620);
  chmodSync(join(folder, 'vmsecretd.sock'), 0o600);
  chmodSync(folder, 0o777);
  t.match(await findWrong(folder), [
    { check: 'socket folder', fix: `chmod go-w ${folder}` },
    { check: 'socket admin.sock', fix: `chmod 600 ${folder}/admin.sock` },
    { check: 'socket vmsecretd.sock', fix: `chmod 660 ${folder}/vmsecretd.sock` },
  ]);
  t.match(await findWrong(join(folder, 'nowhere')), [{ detail: /cannot be looked at \(ENOENT\)/ }]);
});

const skip = process.getuid?.() === 0 ? false : 'only root gives a file away';
t.test(
  'names a socket that is not the daemon’s, and a group that is not the operators’',
  { skip },
  async t => {
    const folder = makeSockets(t);
    t.match(await findWrong(folder, 'nogroup-of-this-name'), [
      { check: 'operator group', fix: /^groupadd / },
    ]);
    t.strictSame(await findWrong(folder, 'root'), []);
    chownSync(join(folder, 'vmsecretd.sock'), 65_534, 65_534);
    t.match(await findWrong(folder, 'root'), [
      { check: 'socket vmsecretd.sock', detail: /belongs to user 65534, its folder to 0/ },
      { check: 'operator group', fix: /^SocketGroup=root / },
    ]);
  },
);
