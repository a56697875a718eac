// Who names a launcher that is being launched waits for its answer: so do a few, and the others do not stand in the way.
import Fastify from 'fastify';
import { test } from 'tap';
import { addLaunchRoute } from '../../src/http/routes/launch.js';
import { requestUnix } from '../../src/system/unix-http.js';
import type { Vms } from '../../src/vm/vms.js';
import { listen } from './listening.js';

const ASKERS = 1_100;

test(`${ASKERS} askers for one launcher keep no other launcher out`, { timeout: 60_000 }, async t => {
  let answer = (_text: string) => {};
  const inProgress = new Promise<string>(resolve => {
    answer = resolve;
  });
  const app = Fastify();
  const launch = (name: string) => (name === 'slow' ? inProgress : Promise.resolve(`exec ${name}`));
  addLaunchRoute(app, {
    vms: { get: (name: string) => ({ lifecycle: { launch: () => launch(name) } }) } as unknown as Vms,
  });
  const { path } = await listen(t, app);
  const ask = async (name: string) => {
    const { body } = await requestUnix({
      socketPath: path('launch.sock'),
      method: 'POST',
      path: `/v1/vms/${name}/launch`,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"pid":7}'),
      timeoutMs: 30_000,
    });
    return body.toString();
  };
  const waiting = new Set<number>();
  const askers = Array.from({ length: ASKERS }, async (_, index) => {
    waiting.add(index);
    // As curl does for the launcher, which then asks again.
    return ask('slow')
      .catch(error => error.code as string)
      .finally(() => waiting.delete(index));
  });
  while (waiting.size > 32) await new Promise(resolve => setImmediate(resolve));
  t.equal(await ask('other'), 'exec other', 'another launcher is answered');
  t.equal(waiting.size, 32, 'those wait');
  answer('exec slow');
  const answers = await Promise.all(askers);
  const count = (text: string) => answers.filter(said => said === text).length;
  const cutOff = count('ECONNRESET');
  // The kernel's own answer while more wait to be accepted than its backlog takes.
  const notAccepted = count('EAGAIN');
  t.comment(`${count('exec slow')} were answered, ${cutOff} cut off, ${notAccepted} not accepted`);
  t.equal(count('exec slow'), 32);
  t.equal(cutOff + notAccepted, ASKERS - 32, 'which the launcher takes for a reason to ask again');
  t.equal(await ask('slow'), 'exec slow', 'who asks again hears the one answer');
});
