import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import { Machines } from '../../../src/supervisor/unit/machines.js';
import { WorkingLifecycle } from '../../../src/vm/working-lifecycle.js';
import { socketFolder } from '../../setup/socket-folder.js';
import { defineVm, makeEvents, makeVm, runningVm } from '../../vm/vm-for-test.js';

/** A VM of a unit that runs, and what is asked of its lifecycle. */
function setUp(t: Parameters<typeof socketFolder>[0], { hasMachined = true } = {}) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vm = makeVm(folder, defineVm('web', { supervisor: 'unit' }), events);
  const asked: string[] = [];
  const ask = (verb: string) => async () => {
    asked.push(verb);
    if (verb === 'pause') throw new VmsecretdError('state_conflict', 'no');
  };
  const verbs = ['start', 'stop', 'restart', 'reboot', 'kill', 'pause', 'resume'] as const;
  const lifecycle = Object.fromEntries(verbs.map(verb => [verb, ask(verb)])) as Record<
    (typeof verbs)[number],
    () => Promise<void>
  >;
  const whole = { ...lifecycle, launches: undefined, adopt: async () => {}, close: () => {} };
  const machinedSocket = join(folder, 'machined');
  if (hasMachined) writeFileSync(machinedSocket, '');
  const machines = new Machines({
    runtimeDirectory: folder,
    events,
    find: () => ({ vm, lifecycle: new WorkingLifecycle(whole, () => {}) }),
    version: '1',
    logger: { warn: () => {} },
    machinedSocket,
  });
  t.teardown(() => machines.close());
  return { vm, machines, asked, events, socket: join(folder, 'machines/web.sock') };
}

async function call(socket: string, method: string): Promise<unknown[]> {
  const client = connect(socket).setEncoding('utf8');
  client.write(`${JSON.stringify({ method: `io.systemd.MachineInstance.${method}` })}\0`);
  let text = '';
  for await (const chunk of client) {
    text += chunk;
    if (text.endsWith('\0')) break;
  }
  return text
    .split('\0')
    .filter(part => part !== '')
    .map(part => JSON.parse(part));
}

t.test('a VM that runs has a control socket, and its launcher hears where', async t => {
  const { vm, machines, socket } = setUp(t);
  t.equal(
    await machines.describe(vm),
    'unit microvm@web.service\nmachine {"name":"web","service":"vmsecretd","class":"vm"}\n',
  );
  vm.transition('start');
  const claims = [{ kind: 'vsock socket', value: 'a "b"/vsock.sock', shared: false }] as const;
  vm.booted({ ...runningVm(vm), claims, workingDirectory: '/var/lib/microvms/web' });
  const [, machine = '', control = ''] = (await machines.describe(vm)).split('\n');
  t.match(JSON.parse(machine.slice('machine '.length)), {
    sshAddress: 'vsock-mux//var/lib/microvms/web/a "b"/vsock.sock',
  });
  t.equal(JSON.parse(control.slice('control '.length)), socket);
  vm.transition('ended');
  vm.transition('start');
  vm.booted(runningVm(vm));
  t.match(await machines.describe(vm), /^control /m, 'the next run takes the place of the last');
  t.strictSame(await call(socket, 'Describe'), [{ parameters: { running: true, status: 'running' } }]);
  await machines.close();
  t.notOk(existsSync(socket));
});

t.test('machinectl’s verbs are the VM’s', async t => {
  const { vm, machines, asked, socket } = setUp(t);
  vm.transition('start');
  vm.booted(runningVm(vm));
  await machines.describe(vm);
  for (const method of ['PowerOff', 'Reboot', 'Terminate', 'Resume'])
    t.strictSame(await call(socket, method), [{ parameters: {} }], method);
  t.match(await call(socket, 'Pause'), [{ error: 'io.systemd.System', parameters: { errno: 16 } }]);
  t.strictSame(asked, ['stop', 'restart', 'kill', 'resume', 'pause']);
  vm.transition('pause');
  t.strictSame(await call(socket, 'QueryStatus'), [{ parameters: { running: false, status: 'paused' } }]);
});

t.test('events go to who subscribes', async t => {
  const { vm, machines, socket, events } = setUp(t);
  vm.transition('start');
  vm.booted(runningVm(vm));
  await machines.describe(vm);
  const client = connect(socket).setEncoding('utf8');
  const heard: string[] = [];
  client.on('data', text => heard.push(...String(text).split('\0').filter(Boolean)));
  const parameters = { filter: ['reset'] };
  client.write(
    `${JSON.stringify({ method: 'io.systemd.MachineInstance.SubscribeEvents', more: true, parameters })}\0`,
  );
  while (heard.length < 1) await delay(5);
  events.publish('reset', 'other');
  vm.publish('receipt', { receipt: 'verified' });
  vm.publish('reset');
  while (heard.length < 2) await delay(5);
  client.destroy();
  t.match(
    heard.map(text => JSON.parse(text)),
    [
      { parameters: { event: 'READY' }, continues: true },
      { parameters: { event: 'reset', data: { at: String } }, continues: true },
    ],
  );
  t.match(await call(socket, 'SubscribeEvents'), [{ error: 'org.varlink.service.ExpectedMore' }]);
});

t.test('without a machined of that kind there is no socket', async t => {
  const { vm, machines, socket } = setUp(t, { hasMachined: false });
  vm.transition('start');
  vm.booted(runningVm(vm));
  t.notMatch(await machines.describe(vm), /^control /m);
  t.notOk(existsSync(socket));
});
