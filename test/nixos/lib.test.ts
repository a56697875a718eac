import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();

t.test('credentialName turns a file’s name into a credential’s', { skip }, async t => {
  t.strictSame(await evaluate('map lib.credentialName [ "api-key" "headscale-derp" "k8s" ]'), [
    'API_KEY',
    'HEADSCALE_DERP',
    'K8S',
  ]);
});

t.test('credentialName refuses what would be changed unnoticed', { skip }, async t => {
  for (const name of ['api_key', 'Api', 'a.b', '-a', 'a-', '']) {
    await t.rejects(evaluate('lib.credentialName name', { name }), /credentialName takes a-z/, name);
  }
});

t.test('mkMicroVMWithSecrets gives the VM and its secrets, named as written', { skip }, async t => {
  const result = await evaluate(`lib.mkMicroVMWithSecrets {
    name = "my-app"; autostart = false; config = { };
    secrets = { "api-key" = "/x/a.age"; DB = "/run/secrets/db"; T = { text = "v"; }; };
  }`);
  t.strictSame(result, {
    microvm: {
      vms: {
        'my-app': {
          autostart: false,
          config: { imports: [{}], microvm: { hypervisor: 'cloud-hypervisor' } },
        },
      },
    },
    services: {
      vmsecretd: {
        enable: true,
        microvms: {
          'my-app': {
            credentials: {
              'api-key': { age: '/x/a.age' },
              DB: { file: '/run/secrets/db' },
              T: { text: 'v' },
            },
          },
        },
      },
    },
  });
});

t.test('a plain file as a Nix path and a plain value are refused', { skip }, async t => {
  const secrets = (value: string) => evaluate(`lib.credentialsFrom { api-key = ${value}; }`);
  await t.rejects(secrets('/tmp/api-key'), /api-key = \/tmp\/api-key: this would be world-readable/);
  await t.rejects(secrets('"hunter2"'), /a plain value would be world-readable/);
});
