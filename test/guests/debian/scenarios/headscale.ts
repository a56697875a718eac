// Scenario 4: a headscale cluster node. Three age files become files below /run/agenix and a Kubernetes Secret, which is there
// before the unit that deploys the pod that mounts its keys.

import type { Test } from 'tap';
import { expectedFile, parseConsole } from '../console-report.js';
import type { CpioEntry } from '../cpio.js';
import type { BootGuest } from '../guest.js';
import { consoleUnit } from '../guest-files.js';
import { type AppliedObject, startKubernetesApi } from '../kubernetes-api.js';
import { ageSecret, delivered } from './scenario.js';

const secrets = new Map([
  ['HEADSCALE_PRIVATE', ageSecret('privkey:0123456789abcdef\n')],
  ['HEADSCALE_NOISE', ageSecret(Buffer.from([0, 255, 10, 13, 0]))],
  ['HEADSCALE_DERP', ageSecret('derp "quoted" \\ and $(expanded)?\n')],
]);

const PLACES = `# credential : path : owner : group : mode
HEADSCALE_PRIVATE:/run/agenix/headscale-private:headscale:headscale:0400
HEADSCALE_NOISE:/run/agenix/headscale-noise:headscale:root:0440
HEADSCALE_DERP:/run/agenix/headscale-derp
HEADSCALE_DERP:/var/lib/headscale/derp.key:headscale
`;

const KUBERNETES_SECRET = `namespace:headscale-system
name:headscale-keys
key:private.key:HEADSCALE_PRIVATE
key:noise_private.key:HEADSCALE_NOISE
key:derp_server_private.key:HEADSCALE_DERP
`;

const MOUNTED_KEYS = ['private.key', 'noise_private.key', 'derp_server_private.key'];

const DEPLOYMENT = JSON.stringify({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'headscale', namespace: 'headscale-system' },
  spec: {
    selector: { matchLabels: { app: 'headscale' } },
    template: {
      metadata: { labels: { app: 'headscale' } },
      spec: {
        containers: [
          {
            name: 'headscale',
            image: 'headscale/headscale',
            volumeMounts: MOUNTED_KEYS.map(key => ({
              name: 'keys',
              mountPath: `/var/lib/headscale/${key}`,
              subPath: key,
              readOnly: true,
            })),
          },
        ],
        volumes: [{ name: 'keys', secret: { secretName: 'headscale-keys', defaultMode: 0o400 } }],
      },
    },
  },
});

/** Boots the node against an API server that is not ready at first, and compares both ways of delivery. */
export async function checkHeadscale(t: Test, boot: BootGuest): Promise<void> {
  const api = await startKubernetesApi(3);
  t.teardown(api.close);
  const outcome = await boot({
    vm: 'headscale',
    secrets,
    files: nodeFiles(api.port),
    withKubernetes: true,
    ready: 'notify',
  });
  const report = parseConsole(outcome.console);
  t.strictSame(report.failures, [], 'no unit failed');
  t.equal(outcome.receipt, null, 'its READY=1 was waited for');

  const value = (name: string) => delivered(secrets, name);
  t.strictSame(
    report.files.agenix,
    {
      'headscale-derp': expectedFile(value('HEADSCALE_DERP')),
      'headscale-noise': expectedFile(value('HEADSCALE_NOISE'), '440 headscale root'),
      'headscale-private': expectedFile(value('HEADSCALE_PRIVATE'), '400 headscale headscale'),
      '_var_lib_headscale_derp.key': expectedFile(value('HEADSCALE_DERP'), '400 headscale root'),
    },
    'below /run/agenix',
  );
  t.strictSame(
    report.files.outside?.['derp.key'],
    expectedFile(value('HEADSCALE_DERP'), '400 headscale root'),
  );
  t.strictSame(api.unknown, []);
  checkApplied(t, api.applied);
}

function checkApplied(t: Test, applied: readonly AppliedObject[]): void {
  t.strictSame(
    applied.map(({ path }) => path),
    [
      '/api/v1/namespaces/headscale-system',
      '/api/v1/namespaces/headscale-system/secrets/headscale-keys',
      '/apis/apps/v1/namespaces/headscale-system/deployments/headscale',
    ],
    'the Secret is there before the pod that mounts it',
  );
  const secret = applied[1];
  t.equal(secret?.query.get('fieldManager'), 'vmsecretd');
  t.equal(secret?.contentType, 'application/apply-patch+yaml');
  t.match(secret?.object, { apiVersion: 'v1', kind: 'Secret', type: 'Opaque' });
  t.strictSame(secret?.object.data, {
    'private.key': delivered(secrets, 'HEADSCALE_PRIVATE').toString('base64'),
    'noise_private.key': delivered(secrets, 'HEADSCALE_NOISE').toString('base64'),
    'derp_server_private.key': delivered(secrets, 'HEADSCALE_DERP').toString('base64'),
  });
}

function nodeFiles(apiPort: number): CpioEntry[] {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'node', cluster: { server: `http://10.0.2.2:${apiPort}` } }],
    contexts: [{ name: 'node', context: { cluster: 'node', user: '' } }],
    'current-context': 'node',
  };
  return [
    { path: 'etc/vmsecretd-guest/secrets', content: PLACES },
    { path: 'etc/vmsecretd-guest/kubernetes/headscale-keys', content: KUBERNETES_SECRET },
    { path: 'etc/kubernetes/admin.conf', content: JSON.stringify(kubeconfig) },
    { path: 'etc/headscale/deployment.json', content: DEPLOYMENT },
    {
      path: 'etc/systemd/network/node.network',
      content: '[Match]\nType=ether\n[Network]\nAddress=10.0.2.15/24\n',
    },
    enable('systemd-networkd.service'),
    enable('vmsecretd-kubernetes-secret@headscale-keys.service', 'vmsecretd-kubernetes-secret@.service'),
    // The image says that /etc is up to date, so that boot is quick; a new user needs sysusers all the same.
    { path: 'usr/lib/sysusers.d/headscale.conf', content: 'u headscale -\n' },
    {
      path: 'etc/systemd/system/systemd-sysusers.service.d/always.conf',
      content: '[Unit]\nConditionNeedsUpdate=\n',
    },
    ...consoleUnit('headscale-deploy', {
      unit: [
        'Requires=vmsecretd-kubernetes-secret@headscale-keys.service',
        'After=vmsecretd-kubernetes-secret@headscale-keys.service',
      ],
      service: [
        'Environment=KUBECONFIG=/etc/kubernetes/admin.conf HOME=/run',
        'ExecStart=kubectl apply --server-side -f /etc/headscale/deployment.json',
        'ExecStart=/usr/lib/vmsecretd-test/print-digests agenix /run/agenix',
        'ExecStart=/usr/lib/vmsecretd-test/print-digests outside /var/lib/headscale',
      ],
    }),
  ];
}

function enable(instance: string, unit = instance): CpioEntry {
  return {
    path: `etc/systemd/system/multi-user.target.wants/${instance}`,
    symlink: `/usr/lib/systemd/system/${unit}`,
  };
}
