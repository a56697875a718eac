import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';

const PLACE = resolve('guest/vmsecretd-place');
const isRoot = process.getuid?.() === 0;
const options = { skip: isRoot ? false : 'mounting a ramfs and giving files away needs root' };

interface Guest {
  readonly folder: string;
  readonly place: (
    configuration: string,
    ...options: string[]
  ) => { readonly status: number | null; readonly stdout: string; readonly stderr: string };
}

/** Credentials in a folder, and a stand-in for systemctl that writes down what it was asked. */
function makeGuest(t: Test, credentials: Record<string, string>): Guest {
  const folder = mkdtempSync('/run/vmsecretd-place-');
  t.teardown(() => {
    spawnSync('umount', [join(folder, 'agenix.d')]);
    rmSync(folder, { recursive: true });
  });
  mkdirSync(join(folder, 'credentials'));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin/systemctl'), `#!/bin/sh\necho "$*" >>${folder}/systemctl.log\n`, {
    mode: 0o755,
  });
  writeFileSync(join(folder, 'bin/ask'), '#!/bin/sh\n[ "$1" = ON_DEMAND ] && printf "of the host"\n', {
    mode: 0o755,
  });
  for (const [name, value] of Object.entries(credentials))
    writeFileSync(join(folder, 'credentials', name), value);
  const env = {
    PATH: `${folder}/bin:${process.env.PATH}`,
    VMSECRETD_CREDENTIALS: join(folder, 'credentials'),
    VMSECRETD_SECRETS: join(folder, 'agenix'),
    VMSECRETD_CREDENTIAL: join(folder, 'bin/ask'),
  };
  const place = (configuration: string, ...options: string[]) => {
    writeFileSync(join(folder, 'secrets'), configuration);
    return spawnSync(PLACE, [...options, join(folder, 'secrets')], { env, encoding: 'utf8' });
  };
  return { folder, place };
}

t.test('puts a credential at its path with owner, group and mode, on a ramfs', options, async t => {
  const { folder, place } = makeGuest(t, { A: 'a\0b\n' });
  t.match(place(`A:${folder}/agenix/one:daemon:mail:0440\nA:two\n\n# no more\n`), { status: 0, stderr: '' });
  const one = statSync(join(folder, 'agenix/one'));
  t.equal(readFileSync(join(folder, 'agenix/one'), 'latin1'), 'a\0b\n');
  t.strictSame([one.uid, one.gid, one.mode & 0o7777], [1, 8, 0o440]);
  t.equal(statSync(join(folder, 'agenix/two')).mode & 0o7777, 0o400);
  t.equal(
    execFileSync('stat', ['-f', '-c', '%T', join(folder, 'agenix/two')], { encoding: 'utf8' }),
    'ramfs\n',
  );
});

t.test('a path elsewhere follows each new generation', options, async t => {
  const { folder, place } = makeGuest(t, { A: 'old' });
  const line = `A:${folder}/elsewhere/key\n`;
  t.equal(place(line).status, 0);
  writeFileSync(join(folder, 'credentials/A'), 'new');
  t.equal(place(line).status, 0);
  t.equal(readFileSync(join(folder, 'elsewhere/key'), 'utf8'), 'new');
  t.equal(readlinkSync(join(folder, 'agenix')), join(folder, 'agenix.d/2'));
  t.throws(() => statSync(join(folder, 'agenix.d/1')), { code: 'ENOENT' }, 'the old generation is gone');
});

t.test('restarts the units of what changed, and no others', options, async t => {
  const { folder, place } = makeGuest(t, { A: '1', B: '1' });
  place('A:a::::a.service\nB:b::::b.service other.service\n');
  t.throws(() => readFileSync(join(folder, 'systemctl.log')), { code: 'ENOENT' }, 'none at first');
  writeFileSync(join(folder, 'credentials/B'), '2');
  const lines = 'A:a::::a.service\nB:b::::b.service other.service:c.service\n';
  place(lines);
  t.equal(
    readFileSync(join(folder, 'systemctl.log'), 'utf8'),
    'try-restart --no-block -- b.service other.service\ntry-reload-or-restart --no-block -- c.service\n',
  );
  writeFileSync(join(folder, 'credentials/B'), '3');
  t.equal(
    place(lines, '--print-units').stdout,
    'reload c.service\nrestart b.service\nrestart other.service\n',
  );
});

t.test(
  'changes nothing when a credential is missing, an owner unknown or a path leads out',
  options,
  async t => {
    const { folder, place } = makeGuest(t, { A: 'a' });
    t.equal(place('A:a\n').status, 0);
    t.equal(place('A:a\nON_DEMAND:b\n').status, 0, 'one that is on demand is asked of the host');
    t.equal(readFileSync(join(folder, 'agenix/b'), 'utf8'), 'of the host');
    t.match(place('A:a\nMISSING:b\n'), { status: 1, stderr: /credential MISSING is not in/ });
    t.match(place('A:a:nobody-of-that-name\n'), {
      status: 1,
      stderr: /cannot give a owner nobody-of-that-name/,
    });
    t.match(place('A:../../a\n'), { status: 1, stderr: /must not contain '\.\.'/ });
    t.equal(readlinkSync(join(folder, 'agenix')), join(folder, 'agenix.d/2'));
    t.equal(readFileSync(join(folder, 'agenix/a'), 'utf8'), 'a');
  },
);
