import t from 'tap';
import type { HostClaim } from '../../../src/hypervisor/host-needs.js';
import type { VmPlan } from '../../../src/hypervisor/hypervisor.js';
import { writeLaunchFile } from '../../../src/supervisor/unit/launch-file.js';
import { planOf } from '../../vm/memory-vmm.js';
import { defineVm } from '../../vm/vm-for-test.js';

const definition = defineVm('demo', { stopTimeoutSeconds: 7 });

function write(more: Partial<VmPlan> | undefined, channels: { port: number; socket: string }[] = []): string {
  const plan = more === undefined ? undefined : { ...planOf('demo'), ...more };
  return writeLaunchFile({ invocationId: 'abc', definition, program: '/bin/vmm', plan, channels });
}

const claim = (kind: HostClaim['kind'], value: string): HostClaim => ({ kind, value, shared: false });

t.test('has each argument, link and socket of the plan on a line of its own', async t => {
  const text = write({
    arguments: ['--seccomp', '', ' a "b" \\ $c '],
    links: [{ path: '/var/demo.sock', target: '/run/api.sock' }],
    needs: {
      ...planOf('demo').needs,
      claims: [claim('vsock socket', '/var/v.sock'), claim('tap', 'vm-demo'), claim('serial socket', '/s')],
    },
  });
  t.strictSame(text.split('\n'), [
    'invocation abc',
    'exec /bin/vmm',
    'arg --seccomp',
    'arg ',
    'arg  a "b" \\ $c ',
    'target /run/api.sock',
    'link /var/demo.sock',
    'free /var/v.sock',
    'free /s',
    'stop-timeout 7',
    'end',
    '',
  ]);
});

t.test(
  'asks for a command line where the definition has none, and says where the guest’s channels end',
  async t => {
    t.equal(
      write(undefined, [{ port: 8889, socket: '/run/report.sock' }]),
      'invocation abc\nexec /bin/vmm\nchannel 8889 /run/report.sock\nstop-timeout 7\nneeds-command \nend\n',
    );
  },
);

t.test('rejects a line break, which would be another line', async t => {
  for (const more of [
    { arguments: ['--log-file', 'a\nexec /bin/sh'] },
    { links: [{ path: '/a\nb', target: '/c' }] },
    { needs: { ...planOf('demo').needs, claims: [claim('vsock socket', '/v\nend')] } },
  ])
    t.throws(() => write(more), { code: 'command_invalid', message: /^VM demo: "[^\n]*" has a line break/ });
});
