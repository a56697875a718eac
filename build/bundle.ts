// Each program in one file with all that it loads, the deliverer in some: reading hundreds of small ones is most of a start.
import { build } from 'esbuild';
import { compiledChecks } from './compiled-checks.js';
import { compiledSchemas } from './compiled-schemas.js';

/** By the names of what is installed; a program forks another by its name in the same folder. */
export const PROGRAMS = {
  daemon: 'dist/src/daemon.js',
  'run-deliverer': 'dist/src/delivery/run-deliverer.js',
  vmsecretctl: 'dist/src/cli/vmsecretctl.js',
} as const;

/** Packages that are CommonJS call `require` for what Node itself has. */
const REQUIRE = `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);`;

/** What a package loads for what is not done here. */
const UNUSED = ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'abstract-logging'];

export interface Bundles {
  /** Folders of the packages that are in a bundle, as in node_modules/fastify. */
  packages: readonly string[];
  /** What each program is made of, by its name in PROGRAMS: paths of modules. */
  modules: Readonly<Record<string, readonly string[]>>;
}

/** The same bytes for the same sources. */
export async function bundle(folder: string): Promise<Bundles> {
  const modules: Record<string, string[]> = {};
  for (const [name, path] of Object.entries(PROGRAMS))
    modules[name] = await bundleProgram(folder, name, path);
  const packages = Object.values(modules)
    .flat()
    .map(path => /^(.*\/)?node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0])
    .filter(path => path !== undefined);
  return { packages: [...new Set(packages)].toSorted(), modules };
}

/** @returns the modules that it is made of */
async function bundleProgram(folder: string, name: string, path: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: { [name]: path },
    outdir: folder,
    bundle: true,
    format: 'esm',
    // What few secrets need (YAML, post-quantum keys, plugins) takes a fifth of the memory of a deliverer that waits.
    splitting: name === 'run-deliverer',
    chunkNames: `${name}-[name]-[hash]`,
    external: UNUSED,
    platform: 'node',
    target: 'node20.19',
    banner: { js: REQUIRE },
    legalComments: 'none',
    plugins: [compiledSchemas, compiledChecks],
    metafile: true,
    logLevel: 'warning',
  });
  return Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
}
