// Makes a function of a schema that checks values. A bundle has the functions for all schemas of the sources instead of ajv:
// build/compiled-schemas.ts.
import { Ajv, type Options, type ValidateFunction } from 'ajv';

/**
 * What is checked, and how: a `file`, whose every fault is told; the `text` of a path or a query, whose numbers are made
 * of it; a `body`, which means what it says.
 */
export type Checked = 'file' | 'text' | 'body';

export const AJV_OPTIONS: Readonly<Record<Checked, Options>> = {
  // verbose gives the schema at the place of an error: the known keys and the accepted values are read from it.
  file: { allErrors: true, verbose: true, strict: false },
  text: { coerceTypes: true, strict: false },
  body: { strict: false },
};

export function compileSchema(schema: object, checked: Checked): ValidateFunction {
  return new Ajv(AJV_OPTIONS[checked]).compile(schema);
}
