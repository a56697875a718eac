// Takes out of the bundles what is done with schemas at each start: their building, with typebox, and the making of functions that
// check them, with ajv. Both together take longer than all else of a start.
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
import type { Plugin } from 'esbuild';
import { AJV_OPTIONS, type Checked } from '../src/schema-check.js';

const SOURCES = resolve('dist/src');
/** It exports schemas and other constants, nothing else. */
const SCHEMA_MODULE = /\/dist\/src\/(.*[/-])?schemas?\.js$/;
const COMPILER_MODULE = /\/dist\/src\/schema-check\.js$/;

interface NamedSchema {
  name: string;
  /** The module that exports it. */
  path: string;
  checked: Checked;
  schema: object;
}

export const compiledSchemas: Plugin = {
  name: 'compiled schemas',
  setup({ onLoad, onResolve }) {
    onLoad({ filter: SCHEMA_MODULE }, async ({ path }) => ({
      contents: constantsOf(path, await import(urlOf(path))),
    }));
    onLoad({ filter: COMPILER_MODULE }, async () => ({ contents: renderCompiler(await findSchemas()) }));
    onResolve({ filter: /^checks-of:/ }, ({ path }) => ({
      path: path.replace(/.*:/, ''),
      namespace: 'checks',
    }));
    onLoad({ filter: /./, namespace: 'checks' }, async ({ path }) => ({
      contents: renderChecks(await findSchemas(), path as Checked),
      resolveDir: resolve('.'),
    }));
  },
};

const urlOf = (path: string) => pathToFileURL(path).href;

function constantsOf(path: string, exported: object): string {
  const constants = Object.entries(exported).map(([name, value]) => {
    if (typeof value === 'function') throw new Error(`${path}: ${name} is no schema, and cannot be bundled`);
    return `export const ${name} = ${JSON.stringify(value, null, 2)};\n`;
  });
  return constants.join('');
}

async function findSchemas(): Promise<NamedSchema[]> {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).map(file => join(SOURCES, file));
  const modules = files.filter(path => SCHEMA_MODULE.test(path)).toSorted();
  const found = modules.map(async path => {
    const exported: Record<string, unknown> = await import(urlOf(path));
    return Object.entries(exported).flatMap(([name, schema]): NamedSchema[] => {
      const checked = howChecked(path, name);
      return typeof schema === 'object' && schema !== null && checked !== undefined
        ? [{ name, path, checked, schema }]
        : [];
    });
  });
  return (await Promise.all(found)).flat();
}

/** @returns undefined for what is only described */
function howChecked(path: string, name: string): Checked | undefined {
  if (/\/src\/(config-schema|definition\/(vm-config-)?schema)\.js$/.test(path))
    return name.endsWith('Schema') ? 'file' : undefined;
  if (!path.includes('/http/')) return undefined;
  if (/(Params|Query)$/.test(name)) return 'text';
  return name.endsWith('Body') ? 'body' : undefined;
}

/** In place of src/schema-check.ts. */
function renderCompiler(schemas: readonly NamedSchema[]): string {
  const imports = schemas.map(({ name, path }) => `import { ${name} } from ${JSON.stringify(path)};`);
  const entries = schemas.map(({ name, checked }) => `  [${name}, ${checked}.${name}],`);
  return `
${[...new Set(schemas.map(({ checked }) => `import * as ${checked} from 'checks-of:${checked}';`))].join('\n')}
${imports.join('\n')}

const checks = new Map([
${entries.join('\n')}
]);

export function compileSchema(schema) {
  const check = checks.get(schema);
  if (check === undefined) throw new Error('build/compiled-schemas.ts did not compile a schema');
  return check;
}
`;
}

/** A function for each schema that is checked so, by the schema's name. */
function renderChecks(schemas: readonly NamedSchema[], checked: Checked): string {
  const ajv = new Ajv({ ...AJV_OPTIONS[checked], code: { source: true } });
  const named = schemas.filter(schema => schema.checked === checked);
  for (const { name, schema } of named) ajv.addSchema(schema, name);
  return standalone.default(ajv, Object.fromEntries(named.map(({ name }) => [name, name])));
}
