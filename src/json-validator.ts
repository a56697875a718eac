// Checks JSON against a schema and says, field by field, what is wrong and what would be accepted.
import type { ErrorObject } from 'ajv';
import { suggestNearest } from './nearest-name.js';
import { compileSchema } from './schema-check.js';

/** A message tells so many problems and counts the rest: the JSON may be a megabyte of them. */
export const TOLD_PROBLEMS = 10;
const QUOTED_LENGTH = 60;

export interface FieldProblem {
  /** Dotted path of the field; empty for the document itself. */
  field: string;
  message: string;
}

/** Returns a function that lists what is wrong with a value; an empty list means it is valid. */
export function createJsonValidator(schema: object): (value: unknown) => FieldProblem[] {
  const validate = compileSchema(schema, 'file');
  return value => {
    if (validate(value)) return [];
    const errors = validate.errors ?? [];
    // Of a failed union only the union itself is told, with every value it would have taken.
    const unions = new Set(errors.flatMap(error => (error.keyword === 'anyOf' ? [error.instancePath] : [])));
    return errors
      .filter(error => error.keyword === 'anyOf' || !isWithinAny(error.instancePath, unions))
      .map((error, index) => describeError(error, index < TOLD_PROBLEMS));
  };
}

function isWithinAny(path: string, ancestors: ReadonlySet<string>): boolean {
  if (ancestors.size === 0) return false;
  for (let end = path.length; end >= 0; end = end === 0 ? -1 : path.lastIndexOf('/', end - 1))
    if (ancestors.has(path.slice(0, end))) return true;
  return false;
}

/** @param isTold whether it is worth looking for the name that was meant */
function describeError(error: ErrorObject, isTold: boolean): FieldProblem {
  const field = error.instancePath
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.');
  if (error.keyword === 'additionalProperties') {
    const key = String(error.params.additionalProperty);
    const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {});
    return {
      field,
      message: `has the unknown key "${shorten(key)}".${isTold ? suggestNearest(key, known) : ''}`,
    };
  }
  if (error.keyword === 'enum') {
    const choices: unknown[] = error.params.allowedValues;
    return { field, message: `must be ${choices.map(choice => `"${choice}"`).join(' or ')}` };
  }
  if (error.keyword === 'anyOf') return { field, message: `must be ${describeUnion(error.schema)}` };
  return { field, message: error.message ?? 'is not valid' };
}

function describeUnion(schemas: unknown): string {
  const alternatives = (Array.isArray(schemas) ? schemas : []) as { type?: string }[];
  return alternatives.map(({ type }) => describeType(type) ?? '…').join(' or ');
}

function describeType(type: string | undefined): string | undefined {
  return type === 'array' ? 'a list of strings' : type === undefined ? undefined : `a ${type}`;
}

/** One line of the first problems, each with its field, and the number of the others, for an error message. */
export function formatFieldProblems(problems: readonly FieldProblem[]): string {
  const told = problems
    .slice(0, TOLD_PROBLEMS)
    .map(({ field, message }) => (field === '' ? `it ${message}` : `${shorten(field)}: ${message}`));
  const untold = problems.length - told.length;
  return [...told, ...(untold > 0 ? [`and ${untold} more`] : [])].join('; ');
}

function shorten(name: string): string {
  return name.length <= QUOTED_LENGTH ? name : `${name.slice(0, QUOTED_LENGTH)}…`;
}
