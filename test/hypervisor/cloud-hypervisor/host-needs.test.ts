import t from 'tap';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { vmConfigNeeds } from '../../../src/hypervisor/cloud-hypervisor/host-needs.js';

const needsOf = (...argv: string[]) => vmConfigNeeds(convertCommand(['--kernel', '/k', ...argv]).vmConfig);

t.test('tells what only one VM may have', t => {
  const { claims } = needsOf(
    ...[
      '--vsock',
      'cid=3,socket=notify.vsock',
      '--serial',
      'socket=/serial.sock',
      '--disk',
      'path=/rw.img',
      'path=/ro.img,readonly=on',
    ],
    ...['--net', 'tap=vm-a,mac=02:00:00:00:00:AB', 'tap=vm-b', '--pmem', 'file=/pmem,discard_writes=on'],
  );
  t.same(
    claims.map(({ kind, value, shared }) => `${kind} ${value}${shared ? ' (shared)' : ''}`),
    [
      'vsock socket notify.vsock',
      'serial socket /serial.sock',
      'tap vm-a',
      'MAC address 02:00:00:00:00:ab',
      'tap vm-b',
      'disk image /rw.img',
      'disk image /ro.img (shared)',
      'disk image /pmem (shared)',
    ],
  );
  t.end();
});

t.test('tells what must be there', t => {
  const { files, sockets } = needsOf(
    ...['--initramfs', '/i', '--disk', 'path=/d', 'vhost_user=on,socket=/blk.sock'],
    ...['--fs', 'tag=store,socket=store.sock'],
    ...['--net', 'vhost_user=on,socket=/net.sock', 'vhost_user=on,socket=/mine.sock,vhost_mode=server'],
    ...['--memory', 'size=512M,shared=on'],
  );
  t.same(
    files.map(({ what, path, isWritten }) => `${what} ${path}${isWritten ? ' (written)' : ''}`),
    ['kernel /k', 'initramfs /i', 'disk image /d (written)'],
  );
  t.same(
    sockets.map(({ what, path }) => `${what} ${path}`),
    ['virtiofs socket store.sock', 'vhost-user socket /net.sock', 'vhost-user socket /blk.sock'],
  );
  t.end();
});

t.test('a hand-written vmConfig that is no VM config needs nothing we know of', t => {
  t.same(vmConfigNeeds({ fs: 'x', pmem: [null] }).sockets, []);
  t.end();
});
