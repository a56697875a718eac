import t from 'tap';
import { notifyStrings, planGuestChannels } from '../../../src/hypervisor/cloud-hypervisor/guest-channels.js';
import { vmPaths } from '../../../src/vm/vm-paths.js';
import { defineVm } from '../../vm/vm-for-test.js';

const context = { paths: vmPaths('/run', 'web', 'daemon'), workingDirectory: '/vm', ownsConsole: true };
const vsock = { vsock: { cid: 3, socket: 'v.sock' } };
const plan = (strings: string[], credentials: Record<string, { text: string }> = {}) => {
  const definition = defineVm('web', { ready: 'notify', credentials });
  const channels = planGuestChannels(definition, vsock, strings, context);
  return { path: channels.notify?.path, added: notifyStrings(channels, strings, definition.credentials) };
};
const binary = (value: string) =>
  `io.systemd.credential.binary:vmm.notify_socket=${Buffer.from(value).toString('base64')}`;

t.test('listens where the guest is told to notify', async t => {
  t.strictSame(plan([]), {
    path: '/vm/v.sock_8888',
    added: ['io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888'],
  });
  for (const string of [
    'io.systemd.credential:vmm.notify_socket=vsock-stream:2:9999',
    'io.systemd.credential:vmm.notify_socket=vsock:2:9999',
    binary('vsock-stream:2:9999'),
    binary('vsock:2:9999\n'),
  ])
    t.strictSame(plan(['other', string]), { path: '/vm/v.sock_9999', added: [] }, string);
  const credentials = { 'vmm.notify_socket': { text: 'vsock-stream:2:7777' } };
  t.strictSame(plan([], credentials), { path: '/vm/v.sock_7777', added: [] });
});

t.test('refuses a place where it cannot hear the guest', async t => {
  for (const value of [
    'vsock-stream:3:8888',
    '/run/notify',
    'vsock-stream:2:0',
    'vsock-stream:2:4294967296',
    'vsock:2',
    '',
  ])
    t.throws(
      () => plan([`io.systemd.credential:vmm.notify_socket=${value}`]),
      {
        code: 'command_invalid',
        message: /cannot hear a guest whose vmm.notify_socket is not vsock-stream:2:PORT; correct/,
      },
      value,
    );
});
