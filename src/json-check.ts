// Tells whether JSON of another process, or of an earlier one, is what its schema says. Files named *-checks.ts have these, and
// a bundle has in their place what ajv compiled them to: neither ajv nor a schema is loaded for them.
import { Ajv, type AnySchemaObject } from 'ajv';
import type { Static, TSchema } from 'typebox';

export const CHECK_OPTIONS = { strict: false } as const;

export type Check<Type> = (json: unknown) => json is Type;

/** Keys that the schema does not have are let through: who wrote it may be newer. */
export function createCheck<Schema extends TSchema>(schema: Schema): Check<Static<Schema>> {
  return new Ajv(CHECK_OPTIONS).compile<Static<Schema>>(withoutLimits(schema));
}

/**
 * The same for an answer of a daemon that may be newer, or older: a word that is new here is a string, too, and what it does
 * not say is absent.
 */
export function createTolerantCheck<Schema extends TSchema>(schema: Schema): Check<Tolerant<Static<Schema>>> {
  return new Ajv(CHECK_OPTIONS).compile<Tolerant<Static<Schema>>>(withoutChoices(withoutLimits(schema)));
}

/** A string for each choice of strings. */
export type Tolerant<Type> = Type extends string
  ? string
  : Type extends readonly (infer Item)[]
    ? Tolerant<Item>[]
    : Type extends object
      ? { [Key in keyof Type]: Tolerant<Type[Key]> }
      : Type;

/** What people may write is checked where they write it. */
function withoutLimits(schema: TSchema): AnySchemaObject {
  return mapSchemas(schema, ({ minLength: _minimum, maxLength: _maximum, pattern: _pattern, ...given }) => {
    const { additionalProperties, ...rest } = given;
    return additionalProperties === false ? rest : given;
  });
}

function withoutChoices(schema: AnySchemaObject): AnySchemaObject {
  return mapSchemas(schema, given => {
    const { enum: choices, required: _required, ...rest } = given;
    return Array.isArray(choices) ? { ...rest, type: 'string' } : rest;
  });
}

function mapSchemas(schema: unknown, change: (schema: AnySchemaObject) => AnySchemaObject): AnySchemaObject {
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return change(Object.fromEntries(Object.entries(value).map(([key, member]) => [key, walk(member)])));
  };
  return Object(walk(schema));
}
