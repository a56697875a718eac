// New secrets for a running guest, from end to end; a peer on the UNIX sockets of vsock ports 8890 and 8891 is the guest part.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Canary } from '../canary.js';
import { isInMemory } from '../setup/search-memory.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { type Change, GuestPeer } from './guest-peer.js';
import { defineVm, STAND_IN } from './vmm.js';

const BOOT = '11111111-aaaa';

function refreshTest(title: string, body: (t: Test, rig: Rig) => Promise<void>): void {
  daemonTest(`refresh: ${title}`, { config: { hypervisors: STAND_IN.hypervisors } }, body);
}

const VMM = {
  ...STAND_IN,
  command: (kernel: string) => [...STAND_IN.command(kernel), '--vsock', 'cid=3,socket=vsock.sock'],
};

/** A VM with `onDemand` among its secrets, and its guest. */
async function startWeb(rig: Rig, more: Record<string, unknown> = {}): Promise<GuestPeer> {
  const { daemon } = rig;
  await daemon.seal('token', 'first');
  await defineWeb(rig, more);
  await daemon.act('web', 'start');
  return new GuestPeer(join(daemon.runtime, 'vms/web/vsock.sock'));
}

async function defineWeb(rig: Rig, more: Record<string, unknown>): Promise<void> {
  const credentials = { TOKEN: { age: join(rig.daemon.secrets, 'token.age'), onDemand: true } };
  await defineVm(VMM, rig, 'web', { more: { credentials, ready: 'receipt', ...more } });
}

async function change({ daemon }: Rig, value: string): Promise<void> {
  await daemon.seal('token', value);
  await daemon.untilVm('web', 'is outdated', vm => vm.outdated.includes('credential TOKEN'));
}

const refresh = ({ daemon }: Rig) => daemon.call('POST', '/v1/vms/web/refresh');

refreshTest(
  'a guest that proves that it has the new values is up to date, without a restart',
  async (t, rig) => {
    const { daemon } = rig;
    const guest = await startWeb(rig);
    const { pid } = await daemon.show('web');
    const seen: string[] = [];
    const told: string[][] = [];
    await guest.follow(BOOT, async changed => {
      told.push(changed.names);
      await guest.acknowledge(values => seen.push(String(values.get('TOKEN'))))(changed);
    });
    await daemon.until('the guest part is there', () =>
      daemon.events.some(({ type }) => type === 'guest-part'),
    );
    const secret = new Canary();
    await change(rig, secret.text);
    t.match(await refresh(rig), {
      status: 200,
      json: { outdated: [], pid, refresh: { credentials: ['TOKEN'], problem: null } },
    });
    t.strictSame({ told, seen }, { told: [['TOKEN']], seen: [secret.text] });
    t.notOk(isInMemory(daemon.pid, secret.forms), 'the daemon has nothing of it in its memory');
    t.match(
      (await daemon.call('GET', '/metrics')).body.toString(),
      /^vmsecretd_refreshes_total\{result="refreshed"\} 1$/m,
    );

    t.match(
      // The stream of events has come by the next answer.
      daemon.events.filter(({ type }) => type === 'refreshed'),
      [{ vm: 'web', credentials: ['TOKEN'] }],
    );
    t.match(await refresh(rig), { status: 200, json: { refresh: { credentials: [] } } }, 'nothing is new');
    t.equal(told.length, 1, 'so the guest is not told');
    await daemon.kill9();
    await daemon.restart();
    await daemon.untilVm('web', 'is adopted', ({ state }) => state === 'running');
    t.match(
      await daemon.call('GET', '/v1/vms?compared=true'),
      { json: { vms: [{ outdated: [] }] } },
      'and stays so',
    );
    await guest.follow(BOOT, () => {});
    t.match(await daemon.call('GET', '/v1/vms?compared=true'), { json: { vms: [{ outdated: [] }] } });
    await guest.follow('22222222-bbbb', () => {});
    await daemon.untilVm('web', 'has lost it with a reset of its guest', vm =>
      vm.outdated.includes('credential TOKEN'),
    );
  },
);

refreshTest('whatever else a guest does, the VM stays outdated, and says why', async (t, rig) => {
  const { daemon } = rig;
  const guest = await startWeb(rig);
  const answers: [what: string, answer: (change: Change) => unknown, why: RegExp][] = [
    ['lies', guest.acknowledge(values => values.set('TOKEN', Buffer.from('first'))), /TOKEN differs/],
    ['leaves one out', guest.acknowledge(values => values.delete('TOKEN')), /TOKEN is missing/],
    [
      'fails',
      ({ id, socket }) => socket.write(`VMSECRETD_FAILED=1 ${id} app.service did not restart\n`),
      /its guest says: app.service did not restart/,
    ],
    [
      'sends no receipt',
      ({ id, socket }) => socket.write(`VMSECRETD_REFRESHED=1 ${id}\nx\nVMSECRETD_RECEIPT_END=0\n`),
      /does not begin/,
    ],
    ['is reset', async () => void (await guest.follow('33333333-cccc', () => {})), /was started again/],
    ['ends', ({ socket }) => socket.destroy(), /ended the connection/],
    ['floods', ({ socket }) => socket.write(Buffer.alloc(1_000_000, 'x\n')), /ended the connection/],
  ];
  await change(rig, 'second');
  const refuse = async ([what, answer, why]: (typeof answers)[number]) => {
    await guest.follow(BOOT, async changed => void (await answer(changed)));
    t.match(await refresh(rig), { status: 502, json: { code: 'refresh_failed', detail: why } }, what);
    const vm = await daemon.show('web');
    t.ok(vm.outdated.includes('credential TOKEN'), what);
    t.match(vm, { refresh: { problem: { code: 'refresh_failed', detail: why } } });
  };
  for (const answer of answers) await refuse(answer);
  await defineWeb(rig, { startTimeoutSeconds: 2 });
  await refuse(['is silent, or paused', () => {}, /within 2 s/]);
  t.match(await daemon.ctl('refresh', 'web'), { status: 1, stderr: /has not taken the new secrets/ });
  t.match(await daemon.ctl('show', 'web'), { stdout: /refresh .*has not taken the new secrets/ });
});

refreshTest('nothing is told to a guest before every secret is open', async (t, rig) => {
  const { daemon } = rig;
  const guest = await startWeb(rig);
  let isTold = false;
  await guest.follow(BOOT, () => {
    isTold = true;
  });
  await change(rig, 'second');
  writeFileSync(join(daemon.secrets, 'canary.age'), 'no age file');
  t.match(await refresh(rig), { status: 422, json: { code: 'secret_corrupt' } });
  t.notOk(isTold);
});

refreshTest('onChange refreshes a guest that is there, and one that comes later', async (t, rig) => {
  const { daemon } = rig;
  const guest = await startWeb(rig, { onChange: 'refresh' });
  await change(rig, 'second');
  const first = await guest.follow(BOOT, guest.acknowledge());
  await daemon.untilVm('web', 'is up to date', ({ outdated }) => outdated.length === 0);
  first.destroy();
  await guest.follow('44444444-dddd', guest.acknowledge());
  const refreshed = () => daemon.events.filter(({ type }) => type === 'refreshed').length;
  await daemon.until('it is refreshed after a reset', () => refreshed() === 2);
  await change(rig, 'third').catch(() => {});
  await daemon.until('and after the next change', () => refreshed() === 3);
  t.match(await daemon.show('web'), { outdated: [] });
});

refreshTest('a VM that cannot be refreshed says what to do', async (t, rig) => {
  const { daemon } = rig;
  await defineVm(VMM, rig, 'web');
  t.match(await refresh(rig), { status: 409, json: { code: 'state_conflict' } }, 'stopped');
  await daemon.act('web', 'start');
  t.match(await refresh(rig), { status: 409, json: { detail: /without a channel.*"onChange": "refresh"/ } });
  await daemon.act('web', 'stop');
  await startWeb(rig);
  await daemon.act('web', 'pause');
  t.match(await refresh(rig), { status: 409, json: { code: 'state_conflict', detail: /is paused/ } });
});
