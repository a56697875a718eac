import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { whyTooOld } from '../../src/system/require-node.js';
import { PROJECT_ROOT } from '../setup/project-root.js';

t.test('takes the version that package.json asks for, and later ones', async t => {
  for (const version of ['20.19.0', '20.20.1', '22.0.0', '24.1.0', 'v26.0.0'])
    t.equal(whyTooOld(version, '>=20.19'), undefined, version);
  for (const version of ['20.18.3', '18.20.4', 'v18.19.0', '8.17.0'])
    t.match(
      whyTooOld(version, '>=20.19'),
      `vmsecretd needs Node 20.19 or later, and this is ${version}`,
      version,
    );
});

for (const program of ['dist/src/daemon.js', 'dist/bundle/daemon.js', 'dist/bundle/vmsecretctl.js']) {
  t.test(`${program} says so on an old Node`, async t => {
    const old = "Object.defineProperty(process.versions, 'node', { value: '18.20.4' });";
    const script = `${old} await import('${pathToFileURL(join(PROJECT_ROOT, program))}')`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    t.equal(status, 1);
    t.match(stderr, /^vmsecretd needs Node 20\.19 or later, and this is 18\.20\.4; install it/);
  });
}
