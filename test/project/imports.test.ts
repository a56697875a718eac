import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import t from 'tap';
import ts from 'typescript';

/** The way of the data. A folder names what is in itself and in what stands before it, be it code or types. */
const ORDER = [
  'system',
  'definition',
  'secrets',
  'credentials',
  'hypervisor',
  'delivery',
  'console',
  'reports',
  'vm',
  'preflight',
  'recovery',
  'watch',
  'supervisor',
  'http',
  'cli',
];

const sourcesOf = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map(path => join(folder, path));

const importsOf = (path: string) =>
  ts.preProcessFile(readFileSync(path, 'utf8'), true, true).importedFiles.map(file => file.fileName);

const ownImports = (imported: string, source: string) =>
  importsOf(imported)
    .filter(name => name.startsWith('.'))
    .map(name => join(dirname(source), name).replace(/\.js$/, '.ts'));

/** What a module names, types too. */
const namedImports = (source: string) => ownImports(source, source);

/** What a module runs: its compiled form, in which types are gone. */
const runtimeImports = (source: string) => ownImports(join('dist', source.replace(/\.ts$/, '.js')), source);

function reachableFrom(source: string, seen = new Set<string>()): Set<string> {
  if (seen.has(source)) return seen;
  seen.add(source);
  for (const next of runtimeImports(source)) reachableFrom(next, seen);
  return seen;
}

/** The folder below src/, or undefined for the files that stand there themselves. */
const folderOf = (source: string) => /^src\/([^/]+)\//.exec(source)?.[1];

t.test('every folder of src has its place in the order', async t => {
  const folders = new Set(sourcesOf('src').map(folderOf));
  t.strictSame([...folders].filter(folder => folder !== undefined).toSorted(), ORDER.toSorted());
});

t.test('imports go one way', async t => {
  const backwards = sourcesOf('src').flatMap(source => {
    const from = folderOf(source);
    if (from === undefined) return [];
    return namedImports(source)
      .filter(to => ORDER.indexOf(folderOf(to) ?? from) > ORDER.indexOf(from))
      .map(to => `${source} imports ${to}`);
  });
  t.strictSame(backwards, []);
});

/** The hypervisor that a file is of; undefined for the interface above them, and for everything else. */
const hypervisorOf = (source: string) => /^src\/hypervisor\/([^/]+)\//.exec(source)?.[1];

t.test('what one hypervisor is made of is for its own folder, and for the interface above', async t => {
  const sources = sourcesOf('src');
  t.ok(sources.some(source => hypervisorOf(source) === 'qemu'));
  const leaks = sources
    .filter(source => dirname(source) !== 'src/hypervisor')
    .flatMap(source =>
      namedImports(source)
        .filter(to => hypervisorOf(to) !== undefined && hypervisorOf(to) !== hypervisorOf(source))
        .map(to => `${source} imports ${to}`),
    );
  t.strictSame(leaks, []);
});

t.test('no file imports itself by way of others', async t => {
  const done = new Set<string>();
  const circles: string[] = [];
  const follow = (source: string, way: readonly string[]): void => {
    if (way.includes(source)) circles.push([...way.slice(way.indexOf(source)), source].join(' → '));
    if (done.has(source)) return;
    done.add(source);
    for (const next of namedImports(source)) follow(next, [...way, source]);
  };
  for (const source of sourcesOf('src')) follow(source, []);
  t.strictSame(circles, []);
});

t.test('only wiring.ts knows all: no folder imports it, and only the programs above do', async t => {
  const importers = sourcesOf('src').filter(source => runtimeImports(source).includes('src/wiring.ts'));
  t.strictSame(importers, ['src/daemon-main.ts']);
});

t.test('only the deliverer runs code that opens secrets', async t => {
  const opensSecrets = (source: string) =>
    [...reachableFrom(source)].filter(to => folderOf(to) === 'secrets');
  t.not(opensSecrets('src/delivery/deliverer.ts').length, 0, 'the deliverer does');
  t.strictSame(opensSecrets('src/daemon.ts'), [], 'the daemon does not');
  t.strictSame(opensSecrets('src/cli/vmsecretctl.ts'), [], 'vmsecretctl does not');
});

t.test('only the deliverer builds OEM strings of secrets', async t => {
  const builders = sourcesOf('src').filter(source =>
    /import [^;]*\bbuildCredentialString\b[^;]* from/.test(readFileSync(source, 'utf8')),
  );
  t.strictSame(builders, ['src/delivery/deliverer.ts']);
});

/** Packages that a program loads before it does anything: `await import(…)` is loaded when it is come to. */
function loadedPackages(source: string, seen = new Set<string>(), packages = new Set<string>()): Set<string> {
  if (seen.has(source)) return packages;
  seen.add(source);
  const compiled = readFileSync(join('dist', source.replace(/\.ts$/, '.js')), 'utf8');
  for (const [, name = ''] of compiled.matchAll(
    /^(?:import |export .* from |import .* from )'([^']+)';$/gm,
  )) {
    if (name.startsWith('.'))
      loadedPackages(join(dirname(source), name).replace(/\.js$/, '.ts'), seen, packages);
    else if (!isBuiltin(name)) packages.add(name);
  }
  return packages;
}

t.test(
  'what is started often loads little: schemas are the daemon’s and doctor’s, execa is for who runs programs',
  async t => {
    t.notOk(loadedPackages('src/delivery/deliverer.ts').has('execa'));
    t.ok(loadedPackages('src/daemon-main.ts').has('typebox'), 'the daemon has them');
  },
);

t.test('every imported package is a declared dependency, and every dependency is imported', async t => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  const dependencies = Object.keys(manifest.dependencies);
  const packagesOf = (folders: readonly string[]) => {
    const names = folders
      .flatMap(sourcesOf)
      .flatMap(importsOf)
      .filter(name => !name.startsWith('.') && !isBuiltin(name));
    return new Set(names.map(name => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name));
  };
  t.strictSame([...packagesOf(['src'])].toSorted(), dependencies.toSorted(), 'src');
  const all = new Set([...dependencies, ...Object.keys(manifest.devDependencies)]);
  const undeclared = [...packagesOf(['test', 'demo', 'bench', 'docs'])].filter(name => !all.has(name));
  t.strictSame(undeclared, [], 'everything else');
});
