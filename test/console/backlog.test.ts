import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { test } from 'tap';
import { Backlog } from '../../src/console/backlog.js';
import { ConsoleFollower } from '../../src/console/console-follower.js';

const LIMIT = 256 * 1024;
const READ_BYTES = 64 * 1024;
const PIECES = 20_000;
const LOOKS = 10;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is held of the buffers that come while `fill` runs: the least, since V8 gives back beside us. */
async function heldOf(fill: () => void): Promise<number> {
  const look = async () => {
    const seen: number[] = [];
    for (let tries = 0; tries < LOOKS; tries += 1) {
      collectGarbage();
      await delay(10);
      seen.push(process.memoryUsage().arrayBuffers);
    }
    return Math.min(...seen);
  };
  const before = await look();
  fill();
  return (await look()) - before;
}

/** Each in the buffer of a whole read, as a guest that prints byte by byte makes them. */
function addSingleBytes(add: (bytes: Buffer) => void): void {
  for (let count = 0; count < PIECES; count += 1) {
    if (count % 1_000 === 0) collectGarbage();
    add(Buffer.alloc(READ_BYTES, count % 251).subarray(0, 1));
  }
}

const expected = Buffer.from(Array.from({ length: PIECES }, (_, count) => count % 251));

test('keeps of single bytes the bytes, not the buffers that they were read into', async t => {
  const backlog = new Backlog(LIMIT);
  const held = await heldOf(() => addSingleBytes(bytes => backlog.append(bytes)));
  t.comment(`${PIECES} bytes are kept in ${held}`);
  t.ok(held < LIMIT, `${held} bytes held`);
  t.strictSame(backlog.read(), expected);
});

test('keeps for a follower that does not read no more either', async t => {
  const follower = new ConsoleFollower();
  t.teardown(() => follower.destroy());
  const held = await heldOf(() => addSingleBytes(bytes => follower.add(bytes)));
  t.comment(`${PIECES} bytes are kept in ${held}`);
  t.ok(held < LIMIT, `${held} bytes held`);
  t.strictSame(follower.read(), expected);
});

test('takes no more than a small multiple of its limit, however much comes', async t => {
  const backlog = new Backlog(LIMIT);
  const held = await heldOf(() => {
    for (let count = 0; count < 200; count += 1) backlog.append(Buffer.alloc(READ_BYTES - 1, count));
  });
  t.ok(held < 2 * LIMIT, `${held} bytes held`);
  t.equal(backlog.length, LIMIT);
});

test('keeps the last bytes up to its limit, in whatever pieces they come', async () => {
  const pieces = fc.array(fc.oneof(fc.nat(20), fc.nat(50_000)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 60_000 }), async (sizes, limit) => {
      const backlog = new Backlog(limit);
      let all = Buffer.alloc(0);
      for (const [index, size] of sizes.entries()) {
        const piece = Buffer.alloc(size, `${index}.`);
        backlog.append(piece);
        all = Buffer.concat([all, piece]);
      }
      return backlog.read().equals(all.subarray(-limit)) && backlog.length === Math.min(limit, all.length);
    }),
  );
});

test('what was forgotten is gone, and what comes is kept', async t => {
  const backlog = new Backlog(4);
  backlog.append(Buffer.from('old'));
  backlog.clear();
  t.equal(backlog.length, 0);
  backlog.append(Buffer.from('ne'));
  backlog.append(Buffer.from('wer'));
  t.equal(backlog.read().toString(), 'ewer');
});
