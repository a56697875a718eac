import t from 'tap';
import { PatientLooks } from '../../src/system/patient-looks.js';

t.test('a path that does not answer holds one call, and nothing else', async t => {
  const told: string[] = [];
  let calls = 0;
  let answer = (_text: string) => {};
  const looks = new PatientLooks({ patienceMs: 50, onSilence: path => told.push(path) });
  const hang = () => {
    calls += 1;
    return new Promise<string>(resolve => {
      answer = resolve;
    });
  };
  const asked = Array.from({ length: 20 }, () => looks.ask('/mnt/nfs', 'lstat', hang));
  t.equal(await looks.ask('/etc', 'lstat', async () => 'there'), 'there', 'others are answered meanwhile');
  t.strictSame(await Promise.all(asked), Array(20).fill(undefined));
  t.equal(
    await looks.ask('/mnt/nfs/secrets/key.age', 'lstat', hang),
    undefined,
    'what is below is not asked',
  );
  t.equal(await looks.ask('/mnt/nfs2', 'lstat', async () => 'there'), 'there');
  t.equal(calls, 1);
  t.strictSame(told, ['/mnt/nfs']);
  answer('back');
  await new Promise(resolve => setImmediate(resolve));
  t.equal(
    await looks.ask('/mnt/nfs', 'lstat', async () => 'there'),
    'there',
    'once it answers it is asked again',
  );
});

t.test('gives what the look gives, and throws what it throws', async t => {
  const looks = new PatientLooks({ onSilence: () => t.fail('in time') });
  t.equal(await looks.ask('/x', 'lstat', async () => 1), 1);
  await t.rejects(
    looks.ask('/x', 'readlink', () => Promise.reject(new Error('EINVAL'))),
    /EINVAL/,
  );
});
