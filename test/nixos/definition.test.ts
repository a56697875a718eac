import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();
const definition = (value: unknown) =>
  evaluate('import (pure + "/definition.nix") definition', { definition: value });

t.test('leaves out what is not set, so that the daemon’s defaults apply', { skip }, async t => {
  const unset = { age: null, file: null, text: null, trim: null };
  t.strictSame(
    await definition({
      command: null,
      oemStrings: null,
      identities: null,
      autostart: false,
      startTimeoutSeconds: 30,
      credentials: { API_KEY: { ...unset, age: '/x/api-key.age' }, EMPTY: { ...unset, text: '' } },
    }),
    {
      autostart: false,
      startTimeoutSeconds: 30,
      credentials: { API_KEY: { age: '/x/api-key.age' }, EMPTY: { text: '' } },
    },
  );
});

t.test('takes an age file into the Nix store', { skip }, async t => {
  const path = await evaluate(
    '(import (pure + "/definition.nix") { credentials.X.age = pure + "/../examples/secrets/api-key.age"; }).credentials.X.age',
  );
  t.match(path, /^\/nix\/store\/[a-z0-9]{32}-api-key\.age$/);
});
