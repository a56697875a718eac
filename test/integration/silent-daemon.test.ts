// A daemon that does not run while systemd takes its connections, or that hangs: nobody waits without a word, and nothing is
// done hours later for somebody who is gone.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { socketFolder } from '../setup/socket-folder.js';
import { spawnNode } from '../setup/spawn-node.js';
import { CTL } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

/** Takes connections and answers none, as systemd does for a daemon that fails to start. */
async function listenSilently(
  t: Test,
): Promise<{ folder: string; socket: string; server: Server; asked: string[] }> {
  const folder = socketFolder(t);
  const socket = join(folder, 'admin.sock');
  const asked: string[] = [];
  const connections = new Set<{ destroy(): void }>();
  const server = createServer(connection => {
    connections.add(connection);
    connection.on('error', () => {}).on('data', bytes => asked.push(bytes.toString().split('\r\n')[0] ?? ''));
  }).listen(socket);
  await once(server, 'listening');
  t.teardown(() => {
    for (const connection of connections) connection.destroy();
    server.close();
  });
  return { folder, socket, server, asked };
}

async function runCtl(socket: string, ...words: string[]): Promise<{ status: number; said: string }> {
  const child = spawnNode([CTL, ...words], { env: { PATH: process.env.PATH, VMSECRETD_SOCKET: socket } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => (said += bytes));
  const [status] = await once(child, 'close');
  return { status, said };
}

t.test('no command waits without end for a daemon that does not answer', async t => {
  const { socket, asked } = await listenSilently(t);
  const commands = [
    ['list'],
    ['show', 'web'],
    ['start', 'web'],
    ['stop', '--all'],
    ['events'],
    ['console', 'web'],
  ];
  const results = await Promise.all(commands.map(words => runCtl(socket, ...words)));
  for (const [index, { status, said }] of results.entries()) {
    t.equal(status, 4, commands[index]?.join(' ') ?? '');
    t.match(
      said,
      /cannot reach vmsecretd at .* \(ETIMEDOUT\): it has not answered within 15 s; systemctl status/,
    );
  }
  t.notOk(
    asked.some(line => line.startsWith('POST')),
    'a start is not left with it',
  );
});

t.test('doctor finds the typing error that keeps a daemon from answering', async t => {
  const { folder, socket } = await listenSilently(t);
  const config = join(folder, 'config.json');
  writeFileSync(config, '{"identites": []}');
  const { status, said } = await runCtl(socket, 'doctor', '--config', config);
  t.equal(status, 1);
  t.match(said, /WRONG +daemon +cannot reach vmsecretd/);
  t.match(said, /WRONG +configuration .*identites/);
});

daemonTest(
  'a call whose client is gone before it is read is not carried out',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    await daemon.call('GET', '/v1/health');
    daemon.signal('SIGSTOP');
    const clients = ['start', 'restart', 'kill'].map(async verb => {
      const client = connect(daemon.socket('admin'));
      await once(client, 'connect');
      client.end(`POST /v1/vms/web/${verb} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`);
      await once(client, 'finish');
      client.destroy();
    });
    await Promise.all(clients);
    daemon.signal('SIGCONT');
    await daemon.call('GET', '/v1/health');
    await daemon.until(
      'all are dropped',
      () => daemon.log.filter(({ msg }) => String(msg).includes('its client is gone')).length === 3,
    );
    // A start would have begun by now.
    await delay(200);
    t.match(await daemon.show('web'), { state: 'stopped', problem: null, lastExit: null });
    t.match(await daemon.act('web', 'start'), { state: 'running' });
  },
);
