import { existsSync } from 'node:fs';
import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const schemaFile = new URL('../../src/definition/schema.js', import.meta.url);
const skip = (await missingNix()) || (!existsSync(schemaFile) && 'src/definition/schema.ts is not there yet');

interface Schema {
  properties: Record<string, { anyOf?: { const?: string }[] }>;
}

t.test('the NixOS options have the keys and choices of a definition file, one for one', { skip }, async t => {
  const { DefinitionSchema } = (await import(schemaFile.href)) as { DefinitionSchema: Schema };
  const keys = (await evaluate(
    'builtins.mapAttrs (_: key: key.type) (import (pure + "/definition-keys.nix"))',
  )) as Record<string, string | string[]>;
  t.strictSame(Object.keys(keys).sort(), Object.keys(DefinitionSchema.properties).sort());
  for (const [key, schema] of Object.entries(DefinitionSchema.properties)) {
    const choices = schema.anyOf?.flatMap(choice => choice.const ?? []) ?? [];
    if (choices.length > 0) t.strictSame(keys[key], choices, key);
  }
});
