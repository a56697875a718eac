import t from 'tap';
import { qemuNeeds } from '../../../src/hypervisor/qemu/host-needs.js';

const claimsOf = (...argv: string[]) =>
  qemuNeeds(argv).claims.map(({ kind, value, shared }) => `${kind} ${value}${shared ? ' (shared)' : ''}`);

t.test('tells disk images, and which are only read', t => {
  t.same(
    claimsOf(
      ...['-drive', 'file=/a,,b.img,if=virtio', '-drive', 'file=/c.img,readonly=on', '-cdrom', '/d.iso'],
      ...['-hda', '/e.img', '/f.img', '-blockdev', 'driver=file,node-name=x,filename=/g.img,read-only=on'],
      ...['-drive', 'file=nbd://host/x', '-drive', 'file=/h.img,snapshot=on'],
    ),
    [
      'disk image /a,b.img',
      'disk image /c.img (shared)',
      'disk image /d.iso (shared)',
      'disk image /e.img',
      'disk image /f.img',
      'disk image /g.img (shared)',
      'disk image /h.img (shared)',
    ],
  );
  t.same(claimsOf('-snapshot', '-hda', '/a'), ['disk image /a (shared)']);
  t.end();
});

t.test('tells addresses, taps and forwarded ports', t => {
  t.same(
    claimsOf(
      ...[
        '-device',
        'vhost-vsock-pci,guest-cid=0x7',
        '-device',
        'virtio-net-pci,netdev=n,mac=02:00:00:00:00:AB',
      ],
      ...[
        '-netdev',
        'user,id=n,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp::53-10.0.2.15:53,hostfwd=::22-:22',
      ],
      ...['-nic', 'tap,ifname=vm-tap,mac=02:00:00:00:00:01'],
    ),
    [
      'vsock CID 7',
      'MAC address 02:00:00:00:00:ab',
      'MAC address 02:00:00:00:00:01',
      'tap vm-tap',
      'port tcp 127.0.0.1:8080',
      'port udp 0.0.0.0:53',
      'port tcp 0.0.0.0:22',
    ],
  );
  t.end();
});

t.test('tells the files that must be there', t => {
  const { files } = qemuNeeds(['qemu-system-x86_64', '-kernel', '/k', '-initrd', '/i', '-hda', '/d']);
  t.same(files, [
    { what: 'kernel', path: '/k' },
    { what: 'initramfs', path: '/i' },
    { what: 'disk image', path: '/d', isWritten: true },
  ]);
  t.end();
});

t.test('needs KVM where nothing else may accelerate it', t => {
  const needsKvm = (...argv: string[]) => qemuNeeds(argv).needsKvm;
  t.ok(needsKvm('-enable-kvm'));
  t.ok(needsKvm('-accel', 'kvm'));
  t.ok(needsKvm('-machine', 'q35,accel=kvm'));
  t.notOk(needsKvm('-accel', 'kvm', '-accel', 'tcg'));
  t.notOk(needsKvm('-M', 'q35,accel=kvm:tcg'));
  t.notOk(needsKvm('-M', 'q35'));
  t.end();
});
