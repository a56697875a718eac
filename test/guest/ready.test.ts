import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';

/** Runs vmsecretd-ready with a systemctl of that version; gives what was sent, or undefined. */
function sendReady(
  t: Test,
  systemdVersion: number,
  notifySocket: string,
  ports: Record<string, string> = {},
) {
  const folder = t.testdir({
    ports,
    credentials: { 'vmm.notify_socket': notifySocket },
    systemctl: `#!/bin/sh\necho 'systemd ${systemdVersion} (${systemdVersion}.1-1)'\necho '+PAM'\n`,
    send: `#!/bin/sh\necho "$* $(cat)" >"\${0%/*}/sent"\n`,
  });
  for (const program of ['systemctl', 'send']) chmodSync(join(folder, program), 0o755);
  const { status } = spawnSync('sh', [resolve('guest/vmsecretd-ready')], {
    env: {
      PATH: `${folder}:${process.env.PATH}`,
      VMSECRETD_CREDENTIALS: join(folder, 'credentials'),
      VMSECRETD_VIRTIO_PORTS: join(folder, 'ports'),
      VMSECRETD_SEND: join(folder, 'send'),
    },
  });
  const sent = join(folder, 'sent');
  return { status, sent: existsSync(sent) ? readFileSync(sent, 'utf8') : undefined };
}

t.test('says READY=1 where systemd is too old to', async t => {
  for (const socket of ['vsock-stream:2:8888', 'vsock:2:8888\n']) {
    t.strictSame(sendReady(t, 252, socket), { status: 0, sent: '8888 org.vmsecretd.notify READY=1\n' });
  }
});

t.test('leaves it to a systemd that can', async t => {
  t.strictSame(sendReady(t, 254, 'vsock-stream:2:8888'), { status: 0, sent: undefined });
});

t.test('refuses an address that is not a vsock port of the host', async t => {
  for (const socket of [
    '',
    '/run/notify',
    'vsock-stream:3:8888',
    'vsock-stream:2:',
    'vsock-stream:2:88 88',
  ]) {
    t.strictSame(sendReady(t, 252, socket), { status: 1, sent: undefined }, socket);
  }
});

t.test('says READY=1 on a virtio-serial port, which no systemd knows of', async t => {
  const ports = { 'org.vmsecretd.notify': '' };
  t.strictSame(sendReady(t, 257, '', ports), { status: 0, sent: '8888 org.vmsecretd.notify READY=1\n' });
});
