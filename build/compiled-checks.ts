// Writes out in the bundles what the checks of src/json-check.ts do: neither ajv nor a schema is loaded for them.
import { pathToFileURL } from 'node:url';
import { Ajv, type AnySchemaObject } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
import { type Plugin, transform } from 'esbuild';
import { CHECK_OPTIONS } from '../src/json-check.js';

/** It exports checks, nothing else. */
const CHECKS_MODULE = /\/dist\/src\/.*-checks\.js$/;

export const compiledChecks: Plugin = {
  name: 'compiled checks',
  setup({ onLoad }) {
    onLoad({ filter: CHECKS_MODULE }, async ({ path }) => {
      const checks: Record<string, { schema: AnySchemaObject }> = await import(pathToFileURL(path).href);
      const ajv = new Ajv({ ...CHECK_OPTIONS, messages: false, code: { source: true, esm: true } });
      for (const [name, { schema }] of Object.entries(checks)) ajv.addSchema(schema, name);
      const names = Object.fromEntries(Object.keys(checks).map(name => [name, name]));
      // Nobody reads it, and every deliverer has it in its memory.
      const { code } = await transform(standalone.default(ajv, names), { minify: true, format: 'esm' });
      return { contents: code };
    });
  },
};
