import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readInline } from '../setup/pages.js';

interface Locked {
  dev?: boolean;
  hasInstallScript?: boolean;
  integrity?: string;
}

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, Locked>;
};
const production = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);

t.test('docs/dependencies.md justifies every production dependency, no other, and counts them', async t => {
  const page = readFileSync('docs/dependencies.md', 'utf8');
  const rows = [...page.matchAll(/^\| `([^`]+)` +\| (.+?) +\| (.+?) +\|$/gm)];
  const names = Object.keys(dependencies);
  t.strictSame(
    rows.map(([, name]) => name),
    names,
  );
  t.match(
    page,
    `${names.length} packages are used in production; with what they use themselves it is ${production.length}.`,
  );
});

t.test('no package runs a script when it is installed, and each has an exact version and a hash', async t => {
  const running = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true);
  t.strictSame(
    running.map(([path]) => path),
    ['node_modules/esbuild'],
    'but for one, of development, whose script only checks its own program',
  );
  t.strictSame(
    production.filter(([, { integrity }]) => integrity === undefined).map(([path]) => path),
    [],
  );
  t.strictSame(
    Object.values(dependencies).filter(version => !/^\d+\.\d+\.\d+$/.test(version)),
    [],
  );
});

t.test('npm pack gives the same bytes twice', async t => {
  const pack = (folder: string): string => {
    const options = ['--ignore-scripts', '--json', '--pack-destination', folder];
    const [{ filename }] = JSON.parse(
      execFileSync('npm', ['pack', ...options], { encoding: 'utf8', stdio: 'pipe' }),
    );
    return createHash('sha256')
      .update(readFileSync(join(folder, filename)))
      .digest('hex');
  };
  t.equal(pack(t.testdir()), pack(t.testdir()));
});

t.test('npm run sbom lists each production package, and no other', async t => {
  const command = readInline('docs/dependencies.md', 'npm run sbom').replace('run', 'run --silent');
  const { components } = JSON.parse(execFileSync('sh', ['-c', command], { encoding: 'utf8' })) as {
    components: { group?: string; name: string }[];
  };
  const listed = components.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`));
  const locked = production.map(([path]) => path.replace(/.*node_modules\//, ''));
  t.strictSame([...new Set(listed)].toSorted(), [...new Set(locked)].toSorted());
});
