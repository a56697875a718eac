// The options of a VM and the keys of its JSON file are the same: names, types, choices and bounds.
import t from 'tap';
import { CredentialSchema, DefinitionSchema } from '../../src/definition/schema.js';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();

interface Schema {
  type?: string;
  const?: string;
  minimum?: number;
  maximum?: number;
  anyOf?: Schema[];
  items?: Schema;
  properties: Record<string, Schema>;
}

const isCommand = (schema: Schema | undefined) => schema?.anyOf?.some(one => one.type === 'array') === true;

/** What ../../nixos-module/pure/definition-keys.nix calls the type of a key. */
function typeOf(key: string, schema: Schema): string | string[] {
  const choices = schema.anyOf?.flatMap(choice => choice.const ?? []) ?? [];
  if (choices.length > 0) return choices;
  if (isCommand(schema)) return 'command';
  if (schema.type === 'array' && isCommand(schema.items)) return 'commands';
  if (schema.type === 'array') return key === 'identities' ? 'paths' : 'strings';
  if (schema.type === 'integer')
    return schema.minimum === 1 && schema.maximum === 86_400 ? 'seconds' : 'integer';
  if (schema.type === 'object') return key === 'credentials' ? key : 'json';
  return schema.type ?? 'unknown';
}

t.test(
  'the NixOS options have the keys, types and choices of a definition file, one for one',
  { skip },
  async t => {
    const keys = await evaluate(
      'builtins.mapAttrs (_: key: key.type) (import (pure + "/definition-keys.nix"))',
    );
    const { properties } = DefinitionSchema as unknown as Schema;
    const expected = Object.entries(properties).map(([key, schema]) => [key, typeOf(key, schema)]);
    t.strictSame(keys, Object.fromEntries(expected));
  },
);

t.test('and of a credential', { skip }, async t => {
  const keys = (await evaluate('import (pure + "/credential-keys.nix")')) as Record<string, { type: string }>;
  const { properties } = CredentialSchema as unknown as Schema;
  t.strictSame(Object.keys(keys).sort(), Object.keys(properties).sort());
  t.strictSame(keys.trim?.type, typeOf('trim', properties.trim as Schema));
});
