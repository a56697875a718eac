import { test } from 'tap';
import { resolveGroup, resolveUser } from '../../src/system/users.js';

test('finds users and groups by the system’s own programs', async t => {
  t.strictSame(await resolveUser('web', 'root', undefined), { uid: 0, gid: 0 });
  t.strictSame(await resolveUser('web', 'root', 'root'), { uid: 0, gid: 0 });
  t.equal(await resolveUser('web', undefined, 'root'), undefined, 'no user: the daemon’s own');
  t.equal(await resolveGroup('root'), 0);
  t.equal(await resolveGroup('no-such-group'), undefined);
});

test('names the user or the group that is not there, one that looks like an option too', async t => {
  for (const user of ['no-such-user', '-u', '--help', '']) {
    await t.rejects(resolveUser('web', user, undefined), {
      code: 'definition_invalid',
      message: `VM web: there is no user ${user} on this host`,
    });
  }
  await t.rejects(resolveUser('web', 'root', 'no-such-group'), {
    message: /there is no group no-such-group/,
  });
});
