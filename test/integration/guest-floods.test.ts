// Guests that were taken over flood what they reach of the daemon: vsock sockets and consoles. It keeps its size and its
// descriptors, answers everybody else, and serves the next guest.
import { once } from 'node:events';
import { appendFileSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { peakBytes } from '../setup/peak-memory.js';
import { TIMEOUT_MS } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { openUnix } from './unix-api.js';
import { CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN, type Vmm } from './vmm.js';

const MIB = 1024 * 1024;
/** What V8 has not collected yet. What the floods send is several times as much. */
const ROOM_BYTES = 96 * MIB;
const CLIENTS = 64;
const CONNECTIONS = 5_000;
/** Of a channel: src/vm/guest-channel.ts. */
const SEATS = 16;
/** Files of the other requests, and connections that are refused at this moment. */
const OTHER_DESCRIPTORS = 32;
const MAXIMUM_RECEIPTS = 64;
/** Twice what is kept of a console. */
const CONSOLE_BYTES = 512 * 1024;
/** Were a read's buffer of 64 KiB kept for each, twice the room. */
const BYTES_ONE_BY_ONE = 3_000;

const CHANNELS = { notify: 'vsock.sock_8888', receipt: 'vsock.sock_8889' } as const;
type Channel = keyof typeof CHANNELS;

const WORDS: readonly (string | Buffer)[] = [
  '',
  'x',
  'STATUS=\x1b[2J',
  'VMSECRETD_RECEIPT=1\n',
  `VMSECRETD_RECEIPT=1\nCREDENTIAL_1=${'0'.repeat(64)} 1 CANARY\nVMSECRETD_RECEIPT_END=1\n`,
  'VMSECRETD_RECEIPT=1\nVMSECRETD_RECEIPT_END=1\n',
  Buffer.alloc(16 * 1024, 'STATUS=flood\n'),
];
/** More than any message may have, now and then. */
const LARGE = Buffer.alloc(256 * 1024, 'CREDENTIAL_1=');
const LARGE_EVERY = 50;

function guestOf({ daemon }: Rig, channel: Channel): Socket {
  const socket = connect(join(daemon.runtime, 'vms', channel, CHANNELS[channel]));
  // Refused connections are reset; those that are not are answered by their end alone.
  return socket.on('error', () => {}).resume();
}

const untilClosed = (socket: Socket) => new Promise<void>(resolve => socket.once('close', () => resolve()));

/** Many connections, one after the other from each client, while others keep what seats they got. */
async function floodChannel(rig: Rig, channel: Channel): Promise<void> {
  const sitting = Array.from({ length: SEATS / 2 }, () => guestOf(rig, channel));
  let connections = 0;
  const flood = async () => {
    while (connections < CONNECTIONS) {
      connections += 1;
      const guest = guestOf(rig, channel);
      const closed = untilClosed(guest);
      const words = connections % LARGE_EVERY === 0 ? LARGE : (WORDS[connections % WORDS.length] ?? '');
      guest.end(words);
      await closed;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, flood));
  for (const guest of sitting) guest.destroy();
}

/** A connection that is refused may become one that is not. */
async function report(rig: Rig, channel: Channel, words: string, isHeard: () => Promise<boolean>) {
  const deadline = Date.now() + TIMEOUT_MS;
  do {
    const guest = guestOf(rig, channel);
    const closed = untilClosed(guest);
    guest.write(words);
    await closed;
    if (Date.now() > deadline) throw new Error(`nothing is heard on ${channel}`);
  } while (!(await isHeard()));
}

const openDescriptors = ({ daemon }: Rig) => readdirSync(`/proc/${daemon.pid}/fd`).length;

interface Meanwhile {
  answers: number;
  /** The most that were open. */
  descriptors: number;
}

/** Asks for everything else until the flood is over. */
async function askMeanwhile(t: Test, rig: Rig, flood: Promise<unknown>): Promise<Meanwhile> {
  let isOver = false;
  const meanwhile = { answers: 0, descriptors: 0 };
  const over = flood.finally(() => {
    isOver = true;
  });
  do {
    for (const [method, path] of [
      ['POST', '/v1/vms/other/start'],
      ['GET', '/v1/health'],
      ['GET', '/v1/vms'],
      ['POST', '/v1/vms/other/kill'],
    ] as const) {
      const { status, body } = await rig.daemon.call(method, path);
      if (status !== 200) t.fail(`${method} ${path} is answered with ${status} ${body}`);
      meanwhile.answers += 1;
      meanwhile.descriptors = Math.max(meanwhile.descriptors, openDescriptors(rig));
    }
  } while (!isOver);
  await over;
  return meanwhile;
}

/** Measures the most that the daemon has had meanwhile, not what it has in the end. */
async function staysSmall(t: Test, rig: Rig, flood: () => Promise<unknown>): Promise<void> {
  const { daemon } = rig;
  const idle = await askMeanwhile(t, rig, Promise.resolve());
  peakBytes(daemon.pid);
  const before = peakBytes(daemon.pid);
  const { answers, descriptors } = await askMeanwhile(t, rig, flood());
  t.ok(answers > 0, `${answers} other requests are answered meanwhile`);
  const bound = idle.descriptors + 2 * SEATS + OTHER_DESCRIPTORS;
  t.ok(descriptors <= bound, `${descriptors} descriptors at most, ${idle.descriptors} before`);
  const peak = peakBytes(daemon.pid);
  const told = `from ${Math.round(before / MIB)} to ${Math.round(peak / MIB)} MiB at most`;
  t.comment(told);
  t.ok(peak - before < ROOM_BYTES, told);
}

daemonTest(
  `${2 * CONNECTIONS} connections of guests to notify and receipt sockets leave the daemon as it was`,
  { config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    const channels = Object.keys(CHANNELS) as Channel[];
    await defineVm(STAND_IN, rig, 'other');
    const command = (kernel: string) => [...STAND_IN.command(kernel), '--vsock', 'cid=3,socket=vsock.sock'];
    for (const ready of channels) {
      // Each its own CID: two VMs of one would be in conflict.
      const vmm = {
        ...STAND_IN,
        command: (kernel: string) =>
          command(kernel).map(word => word.replace('cid=3', `cid=${3 + channels.indexOf(ready)}`)),
      };
      await defineVm(vmm, rig, ready, { more: { ready } });
      await daemon.act(ready, 'start');
    }
    await staysSmall(t, rig, () => Promise.all(channels.map(channel => floodChannel(rig, channel))));
    const receipts = daemon.events.filter(({ type }) => type === 'receipt');
    t.ok(receipts.length > 0 && receipts.length <= MAXIMUM_RECEIPTS, `${receipts.length} are told`);
    t.match(await daemon.show('receipt'), { ready: false, receipt: /^failed: / }, 'no flood makes it ready');

    for (const channel of channels) await daemon.act(channel, 'restart');
    t.match(await daemon.show('receipt'), { receipt: 'pending' });
    await report(rig, 'notify', 'READY=1', async () => (await daemon.show('notify')).ready === true);
    await report(rig, 'receipt', 'x', async () => (await daemon.show('receipt')).receipt !== 'pending');
    t.pass('the next guests are heard');
  },
);

/** Follows a console until that much has come; who lags is dropped, and comes again. */
async function readConsole({ daemon }: Rig, name: string, sizeBytes: number): Promise<void> {
  for (let seenBytes = 0; seenBytes < sizeBytes; ) {
    const path = `/v1/vms/${name}/console?follow=true`;
    const socketPath = daemon.socket('vmsecretd');
    const response = await openUnix({ socketPath, method: 'GET', path, timeoutMs: TIMEOUT_MS });
    response.on('error', () => {});
    for await (const bytes of response) {
      seenBytes += bytes.length;
      if (seenBytes >= sizeBytes) break;
    }
    response.destroy();
  }
}

for (const vmm of [STAND_IN, QEMU, CLOUD_HYPERVISOR] as Vmm[]) {
  daemonTest(
    `a guest that prints without an end leaves the daemon as it was: ${vmm.name}`,
    { skip: vmm.skip, config: { hypervisors: { ...STAND_IN.hypervisors, ...vmm.hypervisors } } },
    async (t, rig) => {
      const { daemon } = rig;
      await defineVm(STAND_IN, rig, 'other');
      await defineVm(vmm, rig, 'floods', { after: 'flood' });
      await staysSmall(t, rig, async () => {
        await daemon.act('floods', 'start');
        await readConsole(rig, 'floods', CONSOLE_BYTES);
        // Nobody reads now.
        for (let round = 0; round < 10; round += 1) await daemon.call('GET', '/v1/vms/floods/console');
      });
      await daemon.act('floods', 'kill');
      await defineVm(vmm, rig, 'floods');
      await daemon.act('floods', 'start');
      t.match(await daemon.untilConsole('floods', END_OF_OEM_STRINGS), END_OF_OEM_STRINGS, 'the next prints');
    },
  );
}

daemonTest(
  `a guest that prints ${BYTES_ONE_BY_ONE} bytes one by one is kept as so many bytes`,
  { skip: QEMU.skip, config: { hypervisors: STAND_IN.hypervisors } },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'other');
    await defineVm(QEMU, rig, 'web', { after: 'stay' });
    await daemon.act('web', 'start');
    await daemon.untilConsole('web', END_OF_OEM_STRINGS);
    const log = join(daemon.runtime, 'logs', 'web.console.log');
    await staysSmall(t, rig, async () => {
      const path = '/v1/vms/web/console?follow=true';
      const socketPath = daemon.socket('vmsecretd');
      const console = await openUnix({ socketPath, method: 'GET', path, timeoutMs: TIMEOUT_MS });
      await once(console, 'data');
      // Each is read before the next one comes: a read of its own.
      for (let count = 0; count < BYTES_ONE_BY_ONE; count += 1) {
        const read = once(console, 'data');
        appendFileSync(log, '.');
        await read;
      }
      console.destroy();
    });
  },
);
