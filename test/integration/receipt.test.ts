// "ready": "receipt" from end to end, the guest's part played by a peer on the UNIX socket of vsock port 8889: it answers
// with what the stand-in VMM was given.
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { computeReceiptDigest } from '../../src/credentials/receipt-digest.js';
import { decodeOemStrings } from '../guests/pvh/decode-oem-strings.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const NONCE = 'vmsecretd.nonce';

function rule(title: string, body: (t: Test, rig: Rig) => Promise<void>): void {
  daemonTest(`receipt: ${title}`, { config: { hypervisors: STAND_IN.hypervisors } }, body);
}

const VMM = {
  ...STAND_IN,
  command: (kernel: string) => [...STAND_IN.command(kernel), '--vsock', 'cid=3,socket=vsock.sock'],
};

async function defineWeb(rig: Rig, more: Record<string, unknown> = {}): Promise<void> {
  await defineVm(VMM, rig, 'web', { more: { ready: 'receipt', ...more } });
}

/** As the guest finds them; a daemon that comes later has not read what the guest printed. */
async function findCredentials({ daemon }: Rig): Promise<Map<string, Buffer>> {
  await daemon.untilVm('web', 'runs', vm => vm.state === 'running');
  return decodeOemStrings(await daemon.untilConsole('web', END_OF_OEM_STRINGS));
}

/** Sends a receipt of all that was found but those `dropped`. */
async function acknowledge(
  { daemon }: Rig,
  found: ReadonlyMap<string, Buffer>,
  dropped: readonly string[] = [],
): Promise<void> {
  const nonce = found.get(NONCE) ?? Buffer.alloc(0);
  const kept = [...found].filter(([name]) => name !== NONCE && !dropped.includes(name));
  const lines = kept.map(
    ([name, value], index) =>
      `CREDENTIAL_${index + 1}=${computeReceiptDigest(nonce, value)} ${value.length} ${name}`,
  );
  const guest = connect(join(daemon.runtime, 'vms/web/vsock.sock_8889'));
  const closed = once(guest.resume(), 'close');
  guest.write(['VMSECRETD_RECEIPT=1', ...lines, `VMSECRETD_RECEIPT_END=${lines.length}`, ''].join('\n'));
  await closed;
}

rule('a start that waits for ready ends when the guest has acknowledged its credentials', async (t, rig) => {
  const { daemon } = rig;
  await defineWeb(rig);
  const start = daemon.call('POST', '/v1/vms/web/start?wait=ready');
  t.match(await daemon.untilVm('web', 'runs', vm => vm.state === 'running'), {
    receipt: 'pending',
    ready: false,
  });
  const found = await findCredentials(rig);
  t.strictSame([...found.keys()], [NONCE, 'CANARY'], 'the nonce comes first');
  await acknowledge(rig, found);
  t.match(await start, { status: 200, json: { state: 'running', ready: true, receipt: 'verified' } });
  await daemon.until('the event has come', () =>
    daemon.events.some(event => event.type === 'receipt' && event.receipt === 'verified'),
  );
});

rule(
  'a guest that is reset has yet to acknowledge its credentials, over a daemon’s end, too',
  async (t, rig) => {
    const { daemon } = rig;
    await defineWeb(rig);
    const start = daemon.call('POST', '/v1/vms/web/start?wait=ready');
    const found = await findCredentials(rig);
    await acknowledge(rig, found);
    t.match(await start, { json: { ready: true, receipt: 'verified' } });
    t.match(await daemon.act('web', 'reboot'), { state: 'running', ready: false, receipt: 'pending' });
    await daemon.until('the event has come', () => daemon.events.some(event => event.type === 'reset'));
    await daemon.kill9();
    await daemon.restart();
    t.match(await daemon.show('web'), { state: 'running', ready: false, receipt: 'pending' });
    const again = daemon.call('POST', '/v1/vms/web/start?wait=ready');
    await acknowledge(rig, found);
    t.match(await again, { status: 200, json: { ready: true, receipt: 'verified' } });
  },
);

rule('a start that waits for ready fails when a credential did not arrive, and names it', async (t, rig) => {
  const { daemon } = rig;
  await defineWeb(rig);
  const start = daemon.call('POST', '/v1/vms/web/start?wait=ready');
  await acknowledge(rig, await findCredentials(rig), ['CANARY']);
  t.match(await start, { status: 504, json: { code: 'ready_timeout', detail: /CANARY is missing/ } });
  t.match(await daemon.show('web'), {
    state: 'running',
    ready: false,
    receipt: 'failed: CANARY is missing',
  });
  t.match(
    await daemon.call('POST', '/v1/vms/web/start?wait=ready'),
    { status: 504 },
    'and whoever asks later learns the same',
  );
});

rule(
  'a guest that acknowledges nothing is waited for as long as startTimeoutSeconds says',
  async (t, rig) => {
    await defineWeb(rig, { startTimeoutSeconds: 2 });
    t.match(await rig.daemon.call('POST', '/v1/vms/web/start?wait=ready'), {
      status: 504,
      json: { code: 'ready_timeout', detail: /not ready after 2 s; no receipt of its credentials came/ },
    });
    t.match(await rig.daemon.show('web'), { state: 'running', ready: false, receipt: 'pending' });
  },
);

rule('each start has a nonce of its own', async (t, rig) => {
  const { daemon } = rig;
  await defineWeb(rig);
  const nonces = new Set<string | undefined>();
  for (const verb of ['start', 'restart']) {
    await daemon.act('web', verb);
    const found = await findCredentials(rig);
    await acknowledge(rig, found);
    await daemon.untilVm('web', 'is verified', vm => vm.receipt === 'verified');
    nonces.add(found.get(NONCE)?.toString('hex'));
    t.equal(found.get(NONCE)?.length, 32);
  }
  t.equal(nonces.size, 2);
});

rule('the name of the nonce is taken, and it counts among the OEM strings', async (t, rig) => {
  const taken = [`io.systemd.credential:${NONCE}=known`];
  await t.rejects(defineWeb(rig, { oemStrings: taken }), {
    message: /"code":"credential_duplicate".*vmsecretd\.nonce/,
  });
  const strings = Array.from({ length: 254 }, (_, index) => `string ${index}`);
  await t.rejects(defineWeb(rig, { oemStrings: strings }), { message: /"code":"credentials_too_many"/ });
});

rule('check takes a VM whose launcher brings the command, and with it the channel', async (t, rig) => {
  await defineWeb(rig, { command: undefined, supervisor: 'unit' });
  t.match(await rig.daemon.call('POST', '/v1/vms/web/check'), { json: { ok: true } });
});

rule('check tells what systemd 252 would not read, but where a receipt tells', async (t, rig) => {
  const { daemon } = rig;
  const large = { LARGE: { age: await daemon.seal('large', Buffer.alloc(3_050)) } };
  const notes = async (more: Record<string, unknown>) => {
    await defineWeb(rig, more);
    const { json } = await daemon.call('POST', '/v1/vms/web/check');
    const { ok, checks } = json as { ok: boolean; checks: { name: string; detail: string }[] };
    t.equal(ok, true);
    return checks.filter(({ name }) => name === 'warning').map(({ detail }) => detail);
  };
  t.match(await notes({ ready: 'boot', credentials: large }), [/systemd 252 .* reads 4091/]);
  t.strictSame(await notes({ ready: 'receipt', credentials: large }), []);
  t.strictSame(await notes({ ready: 'boot' }), []);
});
