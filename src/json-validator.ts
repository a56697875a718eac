// Checks JSON against a schema and says, field by field, what is wrong and what would be accepted.
import { Ajv, type ErrorObject } from 'ajv';
import { suggestNearest } from './nearest-name.js';

export interface FieldProblem {
  /** Dotted path of the field; empty for the document itself. */
  field: string;
  message: string;
}

/** Returns a function that lists what is wrong with a value; an empty list means it is valid. */
export function createJsonValidator(schema: object): (value: unknown) => FieldProblem[] {
  // verbose gives the schema at the place of an error: the known keys and the accepted values are read from it.
  const validate = new Ajv({ allErrors: true, verbose: true, strict: false }).compile(schema);
  return value => {
    if (validate(value)) return [];
    const errors = validate.errors ?? [];
    // Of a failed union only the union itself is told, with every value it would have taken.
    const unions = errors.filter(error => error.keyword === 'anyOf').map(error => error.instancePath);
    return errors
      .filter(error => error.keyword === 'anyOf' || !unions.some(path => isWithin(error.instancePath, path)))
      .map(describeError);
  };
}

function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(`${ancestor}/`);
}

function describeError(error: ErrorObject): FieldProblem {
  const field = error.instancePath
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.');
  if (error.keyword === 'additionalProperties') {
    const key = String(error.params.additionalProperty);
    const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {});
    return { field, message: `has the unknown key "${key}".${suggestNearest(key, known)}` };
  }
  if (error.keyword === 'anyOf') return { field, message: `must be ${describeUnion(error.schema)}` };
  return { field, message: error.message ?? 'is not valid' };
}

function describeUnion(schemas: unknown): string {
  const alternatives = (Array.isArray(schemas) ? schemas : []) as { const?: unknown; type?: string }[];
  return alternatives
    .map(alternative =>
      'const' in alternative ? `"${alternative.const}"` : (describeType(alternative.type) ?? '…'),
    )
    .join(' or ');
}

function describeType(type: string | undefined): string | undefined {
  return type === 'array' ? 'a list of strings' : type === undefined ? undefined : `a ${type}`;
}

/** As many as a person reads; a document of 1 MiB may have a hundred thousand. */
const TOLD_PROBLEMS = 20;
const TOLD_CHARACTERS = 300;

/** One line of the first problems, each with its field, for an error message. */
export function formatFieldProblems(problems: readonly FieldProblem[]): string {
  const told = problems
    .slice(0, TOLD_PROBLEMS)
    .map(({ field, message }) => (field === '' ? `the document ${message}` : `${field}: ${message}`))
    .map(text => (text.length > TOLD_CHARACTERS ? `${text.slice(0, TOLD_CHARACTERS)}…` : text));
  const untold = problems.length - told.length;
  return [...told, ...(untold > 0 ? [`and ${untold} more`] : [])].join('; ');
}
