import t from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import { explainStorageError } from '../../src/system/storage-error.js';

t.test('says which file, why, and what to do', async t => {
  const full = Object.assign(new Error('x'), { code: 'ENOSPC', path: '/run/a' });
  t.match(explainStorageError(full), { code: 'resource_conflict', message: /^\/run\/a .*no space .*free/ });
  t.match(explainStorageError(full, '/run/b'), { details: { path: '/run/b' } }, 'the writer knows better');
});

t.test('leaves every other error as it is', async t => {
  const known = new VmsecretdError('vm_unknown', 'There is no VM web.');
  for (const error of [known, new Error('x'), Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'x']) {
    t.equal(explainStorageError(error), error);
  }
});
