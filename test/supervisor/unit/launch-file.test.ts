import t from 'tap';
import type { HostClaim } from '../../../src/hypervisor/host-needs.js';
import type { LaunchPlan, VmPlan } from '../../../src/hypervisor/hypervisor.js';
import { writeLaunchFile } from '../../../src/supervisor/unit/launch-file.js';
import { planOf } from '../../vm/memory-vmm.js';
import { defineVm } from '../../vm/vm-for-test.js';

const definition = defineVm('demo', { stopTimeoutSeconds: 7 });

function write(more: Partial<VmPlan> | undefined, launch: Partial<LaunchPlan> = {}): string {
  const plan = more === undefined ? undefined : { ...planOf('demo'), ...more };
  const bare = { program: '/bin/vmm', arguments: [], added: [], fifos: [], channels: {} };
  return writeLaunchFile({ invocationId: 'abc', definition, plan, launch: { ...bare, ...launch } });
}

const claim = (kind: HostClaim['kind'], value: string): HostClaim => ({ kind, value, shared: false });

t.test('has each argument, link and socket of the plan on a line of its own', async t => {
  const plan = {
    links: [{ path: '/var/demo.sock', target: '/run/api.sock' }],
    needs: {
      ...planOf('demo').needs,
      claims: [claim('vsock socket', '/var/v.sock'), claim('tap', 'vm-demo'), claim('serial socket', '/s')],
    },
  };
  const text = write(plan, {
    arguments: ['--seccomp', '', ' a "b" \\ $c '],
    added: ['-chardev', { before: 'fd=', socket: 'api' }, { before: 'x,fd=', socket: 'refresh' }],
    fifos: ['/f0', '/f1'],
    gate: '/gate',
  });
  t.strictSame(text.split('\n'), [
    'invocation abc',
    'exec /bin/vmm',
    'arg --seccomp',
    'arg ',
    'arg  a "b" \\ $c ',
    'add -chardev',
    'add-socket 0 fd=',
    'add-socket 3 x,fd=',
    'fifo /f0',
    'fifo /f1',
    'gate /gate',
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
    t.strictSame(
      write(undefined, {
        program: undefined,
        channels: {
          receipt: { kind: 'vsock', path: '/run/report.sock' },
          refresh: { kind: 'port', path: '/run/refresh.sock' },
        },
      }).split('\n'),
      ['invocation abc', 'channel 8889 /run/report.sock', 'stop-timeout 7', 'needs-command ', 'end', ''],
    );
  },
);

t.test('rejects a line break, which would be another line', async t => {
  t.throws(() => write({}, { arguments: ['--log-file', 'a\nexec /bin/sh'] }), { code: 'command_invalid' });
  t.throws(() => write({}, { added: ['-smbios', 'type=11,value=a\nb'] }), { code: 'command_invalid' });
  for (const more of [
    { links: [{ path: '/a\nb', target: '/c' }] },
    { needs: { ...planOf('demo').needs, claims: [claim('vsock socket', '/v\nend')] } },
  ])
    t.throws(() => write(more), { code: 'command_invalid', message: /^VM demo: "[^\n]*" has a line break/ });
});
