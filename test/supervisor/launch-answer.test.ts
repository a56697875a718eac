import { test } from 'tap';
import type { VmPlan } from '../../src/hypervisor/hypervisor.js';
import { writeLaunchAnswer } from '../../src/supervisor/launch-answer.js';

// What the answer is made of; a launcher is told nothing else of a plan.
const plan = {
  vm: 'demo',
  program: '/usr/bin/cloud-hypervisor',
  arguments: ['--api-socket', 'path=/run/vmsecretd/vms/demo/api.sock'],
  apiSocket: '/run/vmsecretd/vms/demo/api.sock',
  apiSocketLink: 'demo.sock',
  inheritedNets: ['fd=[3],mac=02:00:00:00:00:01'],
} as unknown as VmPlan;

test('tells the program, its arguments, what it holds open, the link and how long a stop may take', async t => {
  t.equal(
    writeLaunchAnswer(plan, '/var/lib/microvms/demo', 300),
    `exec /usr/bin/cloud-hypervisor
arg --api-socket
arg path=/run/vmsecretd/vms/demo/api.sock
net fd=[3],mac=02:00:00:00:00:01
link /var/lib/microvms/demo/demo.sock
stop-timeout 300
end
`,
  );
});

test('tells no link where the command line asked for none, or for the very socket', async t => {
  const { apiSocketLink: _, ...unlinked } = plan;
  for (const asked of [unlinked, { ...plan, apiSocketLink: plan.apiSocket }])
    t.notMatch(writeLaunchAnswer(asked as VmPlan, '/', 90), /^link/m);
});

test('refuses an argument with a line break, which would be a line of its own', async t => {
  const broken = { ...plan, arguments: ['--kernel', '/a\nexec /bin/sh'] };
  t.throws(() => writeLaunchAnswer(broken, '/', 90), {
    code: 'command_invalid',
    message: /^VM demo: "\/a\\nexec \/bin\/sh" has a line break/,
  });
});
