// Operators who come in numbers, by a dashboard that leaks its connections say: others go on, and systemd sees a daemon that is well.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { CROWD_LIMITS } from '../../src/http/crowds.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { callUnix } from './unix-api.js';
import { defineVm, STAND_IN } from './vmm.js';

const CROWD = 1_100;

async function followEvents({ daemon }: Rig, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  // In portions: more at once than the kernel's queue takes would be refused by it.
  for (let begun = 0; begun < count; begun += 100) {
    const some = Array.from({ length: 100 }, () => connect(daemon.socket('vmsecretd')));
    sockets.push(...some);
    await Promise.all(
      some.map(async socket => {
        socket.on('error', () => {});
        socket.write('GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n');
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      }),
    );
  }
  return sockets;
}

daemonTest(
  'followers of events lock nobody out',
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    const followers = await followEvents(rig, CROWD);
    t.match(await daemon.call('GET', '/v1/health', undefined, 'vmsecretd'), { status: 200 });
    t.match(await daemon.call('POST', '/v1/vms/web/start', undefined, 'vmsecretd'), { status: 200 });
    const open = followers.filter(socket => !socket.destroyed && !socket.readableEnded);
    t.equal(open.length, CROWD_LIMITS.follower, 'the newest are served');
    // The oldest gave way on the operators' socket alone: this one is followed on it since the daemon's start.
    t.match(await daemon.call('POST', '/v1/vms/web/kill', undefined, 'admin'), { status: 200 });
    for (const socket of followers) socket.destroy();
  },
);

daemonTest(
  'checks keep no start waiting, and too many are refused',
  { timeoutMs: 60_000, config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    const credentials: Record<string, unknown> = {};
    for (let index = 0; index < 20; index += 1) {
      const path = join(daemon.secrets, `large-${index}`);
      writeFileSync(path, Buffer.alloc(1024 * 1024, 'x'));
      credentials[`LARGE${index}`] = { file: path };
    }
    await defineVm(STAND_IN, rig, 'large', { more: { credentials } });
    await defineVm(STAND_IN, rig, 'web');
    const socketPath = daemon.socket('vmsecretd');
    const checks = Array.from({ length: CROWD_LIMITS.check + 20 }, () =>
      callUnix({ socketPath, method: 'POST', path: '/v1/vms/large/check', timeoutMs: 60_000 }),
    );
    const refused = await Promise.race(
      checks.map(async check => ((await check).status === 503 ? await check : new Promise<never>(() => {}))),
    );
    t.match(refused.json, { code: 'busy', detail: /64 checks wait already; try again/ });
    const beganAt = performance.now();
    t.match(await daemon.act('web', 'start'), { state: 'running' });
    t.ok(performance.now() - beganAt < 10_000, 'a start does not wait for them');
    const statuses = (await Promise.all(checks)).map(({ status }) => status);
    t.equal(statuses.filter(status => status === 200).length, CROWD_LIMITS.check);
    t.equal(statuses.filter(status => status === 503).length, 20);
  },
);
