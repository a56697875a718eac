import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();

t.test('writes the lines that vmsecretd-place and vmsecretd-kubernetes-secret read', { skip }, async t => {
  const secret = { credential: 'KEY', path: '/run/agenix/key', owner: 'root', group: 'keys', mode: '0440' };
  t.strictSame(
    await evaluate(
      `with import (pure + "/guest-configuration.nix"); {
        secrets = secrets { inherit key; };
        keys = keys { inherit key; };
        kubernetes = kubernetesSecret "keys" { namespace = "app"; data = { "a.key" = "KEY"; }; };
      }`,
      { key: { ...secret, restartUnits: ['a.service', 'b.service'], reloadUnits: ['c.service'] } },
    ),
    {
      secrets: 'KEY:/run/agenix/key:root:keys:0440:a.service b.service:c.service\n',
      keys: 'KEY:/run/agenix/key:0440\n',
      kubernetes: 'namespace:app\nname:keys\nkey:a.key:KEY\n',
    },
  );
});

t.test('refuses a path with a colon, which separates fields', { skip }, async t => {
  t.match(
    await evaluate(
      '(import (pure + "/guest-configuration.nix")).pathProblems "secrets" { key.path = "/a:b"; }',
    ),
    [{ assertion: false, message: /secrets\.key\.path = \/a:b/ }],
  );
});
