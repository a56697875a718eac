// Credentials that a guest asks for, from end to end; a peer on the UNIX socket of vsock port 8890 is the guest.
import { writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Canary } from '../canary.js';
import { isInMemory } from '../setup/search-memory.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { GuestPeer, readAll } from './guest-peer.js';
import { defineVm, STAND_IN } from './vmm.js';

const ID = '0123456789abcdef';

function channelTest(title: string, body: (t: Test, rig: Rig) => Promise<void>): void {
  daemonTest(
    `on demand: ${title}`,
    // Each request takes a fresh deliverer, which takes seconds on a busy machine.
    { config: { hypervisors: STAND_IN.hypervisors }, timeoutMs: 240_000, fileTimeoutMs: 900_000 },
    body,
  );
}

const VMM = {
  ...STAND_IN,
  command: (kernel: string) => [...STAND_IN.command(kernel), '--vsock', 'cid=3,socket=vsock.sock'],
};

const vsockOf = ({ daemon }: Rig, vm: string) => join(daemon.runtime, 'vms', vm, 'vsock.sock');

/** In values that are on demand alone: the guest of the stand-in prints what it got at boot. */
const onDemand = new Canary();

/** A VM with the canary delivered at boot, and 500 KB on demand with another in their middle. */
async function startWeb(rig: Rig, more: Record<string, unknown> = {}): Promise<GuestPeer> {
  const { daemon } = rig;
  const large = Buffer.concat([
    Buffer.alloc(250_000, 7),
    Buffer.from(onDemand.text),
    Buffer.alloc(250_000, 0),
  ]);
  const credentials = { LARGE: { age: await daemon.seal('large', large), onDemand: true } };
  await defineVm(VMM, rig, 'web', { more: { credentials, ...more } });
  await daemon.act('web', 'start');
  return new GuestPeer(vsockOf(rig, 'web'));
}

channelTest('gives what is on demand, of any size, and what came at boot, as it is now', async (t, rig) => {
  const { daemon, canary } = rig;
  const guest = await startWeb(rig);
  t.equal((await stat(`${vsockOf(rig, 'web')}_8890`)).mode & 0o777, 0o600);
  const command = await daemon.call('GET', '/v1/vms/web/command');
  t.match(command.body.toString(), /CANARY/);
  t.notMatch(command.body.toString(), /LARGE/, 'what is on demand is not in SMBIOS');

  const large = Buffer.from(await guest.get('LARGE', 'my-app.service'));
  t.equal(large.length, 500_000 + onDemand.text.length);
  t.ok(large.includes(onDemand.text), 'whole and in order');
  t.equal(String(await guest.get('CANARY')), canary.text);
  await daemon.seal('canary', `${canary.text}-newer`);
  t.equal(String(await guest.get('CANARY')), `${canary.text}-newer`, 'the value of now');

  const events = () => daemon.events.filter(({ type }) => type === 'on-demand');
  await daemon.until('each is told', () => events().length === 3);
  t.match(events()[0], {
    vm: 'web',
    outcome: 'delivered',
    credential: 'LARGE',
    unit: 'my-app.service',
    sizeBytes: large.length,
  });
  const metrics = (await daemon.call('GET', '/metrics')).body.toString();
  t.match(metrics, /^vmsecretd_on_demand_total\{outcome="delivered"\} 3$/m);
  t.notOk(isInMemory(daemon.pid, onDemand.forms), 'the daemon has nothing of it in its memory');
  t.strictSame(onDemand.searchFiles([daemon.runtime, daemon.state]), []);
  t.strictSame(onDemand.searchText('answers', Buffer.concat(daemon.said)), []);
});

channelTest('a start opens what is on demand, too', async (t, rig) => {
  const missing = { LARGE: { age: '/nonexistent.age', onDemand: true } };
  await defineVm(VMM, rig, 'web', { more: { credentials: missing } });
  t.match(await rig.daemon.call('POST', '/v1/vms/web/start'), {
    status: 422,
    json: { code: 'secret_missing' },
  });
});

channelTest('gives a guest nothing that is not its own, and says no more than that', async (t, rig) => {
  const { daemon } = rig;
  const guest = await startWeb(rig);
  const other = { OTHER: { age: await daemon.seal('other', 'of another VM'), onDemand: true } };
  await defineVm(VMM, rig, 'db', { more: { credentials: other } });
  await daemon.act('db', 'start');
  const late = { LATE: { age: await daemon.seal('late', 'later') } };
  await defineVm(VMM, rig, 'web', { more: { credentials: late } });
  for (const name of ['OTHER', 'LATE', 'canary.age', '../db/OTHER', '__proto__', 'vmsecretd.nonce', 'LARGE'])
    t.equal(await guest.get(name), 'unknown', name);
  t.equal(String(await new GuestPeer(vsockOf(rig, 'db')).get('OTHER')), 'of another VM');
  writeFileSync(join(daemon.secrets, 'canary.age'), 'no age file');
  t.equal(await guest.get('CANARY'), 'unavailable');
  await daemon.until('the host knows why', () =>
    daemon.events.some(
      ({ type, problem }) => type === 'on-demand' && JSON.stringify(problem)?.includes('canary.age'),
    ),
  );
});

channelTest('a hostile guest costs a bounded amount, and keeps no other waiting', async (t, rig) => {
  const { daemon } = rig;
  const guest = await startWeb(rig);
  await defineVm(VMM, rig, 'db', { more: { onChange: 'refresh' } });
  await daemon.act('db', 'start');
  const invalid = `VMSECRETD_ERROR=1 - invalid\n`;
  for (const words of [
    'GET / HTTP/1.1\r\n\r\n',
    `VMSECRETD_GET=2 ${ID} - CANARY\n`,
    `VMSECRETD_GET=1 short - CANARY\n`,
    `VMSECRETD_GET=1 ${ID} a unit CANARY\0\n`,
    `VMSECRETD_GET=1 ${ID} ../x CANARY\n`,
    `${'x'.repeat(5_000)}\n`,
  ])
    t.match(await guest.say(words), /^(VMSECRETD_ERROR=1 - invalid\n)?$/, words.slice(0, 40));
  t.equal(await guest.say(`VMSECRETD_GET=1 ${ID} - \n`), invalid);
  const flood = await guest.connect(8890);
  flood.write(Buffer.alloc(1_000_000, 'x'));
  await readAll(flood);
  // Four are served, twelve wait, and the others are refused.
  const silent = await Promise.all(Array.from({ length: 40 }, () => guest.connect(8890)));
  await Promise.all(silent.slice(16).map(socket => readAll(socket)));
  t.equal(silent.filter(socket => socket.closed).length, 24);
  t.equal(String(await new GuestPeer(vsockOf(rig, 'db')).get('CANARY')).length > 0, true, 'another guest');
  for (const socket of silent) socket.destroy();
  await daemon.until('the same one is served, once the host has seen that they are gone', async () =>
    String(await guest.get('CANARY').catch(() => '')).startsWith('canary-'),
  );
});

channelTest(
  'the channel is there for those who ask for it, and its socket goes with the VM',
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(VMM, rig, 'web');
    await daemon.act('web', 'start');
    await t.rejects(stat(`${vsockOf(rig, 'web')}_8890`), { code: 'ENOENT' });
    await daemon.act('web', 'stop');
    const noVsock = { more: { onChange: 'refresh' } };
    await defineVm(STAND_IN, rig, 'web', noVsock);
    t.match(await daemon.call('POST', '/v1/vms/web/start'), {
      status: 422,
      json: { code: 'command_invalid', detail: /onChange "refresh" needs a channel.*--vsock/ },
    });
    await t.rejects(
      defineVm(VMM, rig, 'web', {
        more: { credentials: { 'vmsecretd.nonce': { text: 'x', onDemand: true } } },
      }),
      { message: /"code":"definition_invalid".*name of the nonce/ },
    );
  },
);
