// examples/agenix: the files as an agenix user has them are delivered as they are.

import { readFileSync } from 'node:fs';
import t from 'tap';
import { readDefinitionFile } from '../../src/definition/definitions.js';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';

t.test('every secret of secrets.nix is a credential of the definition, and opens', async t => {
  const definition = await readDefinitionFile('examples/agenix/headscale.json', {
    origin: 'file',
    defaultSupervisor: 'daemon',
    trust: 'links',
  });
  t.same(Object.keys(definition.credentials), [
    'HEADSCALE_PRIVATE_KEY',
    'HEADSCALE_NOISE_PRIVATE_KEY',
    'HEADSCALE_DERP_PRIVATE_KEY',
  ]);
  const identities = await loadIdentities({
    vm: definition.name,
    paths: definition.identities ?? [],
    passphraseFiles: [],
  });
  const secretsNix = readFileSync('examples/agenix/secrets.nix', 'utf8');
  for (const [name, source] of Object.entries(definition.credentials)) {
    const value = await openSource({ vm: definition.name, credential: name, source }, identities);
    t.match(
      value.open(bytes => bytes.toString()),
      /^privkey:[0-9a-f]{64}$/,
      name,
    );
    t.match(secretsNix, `"${source.age?.split('/').at(-1)}".publicKeys`);
  }
});
