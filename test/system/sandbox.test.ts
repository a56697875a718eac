import t from 'tap';
import { explainHidden } from '../../src/system/sandbox.js';

const MOUNTS = [
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
  '91 22 8:1 /tmp/systemd-private-0123-vmsecretd.service-x/tmp /tmp rw - ext4 /dev/sda1 rw',
  '92 22 0:24 /systemd/inaccessible/dir /home ro,nosuid - tmpfs tmpfs rw',
  '93 22 0:50 / /root ro,nosuid - tmpfs tmpfs ro',
].join('\n');

t.test('names the setting that hides a path', async t => {
  t.match(explainHidden('/tmp/key.age', MOUNTS), /a \/tmp of its own \(PrivateTmp= of its unit\)/);
  for (const path of ['/home/anna/key', '/root/key'])
    t.match(explainHidden(path, MOUNTS), /ProtectHome=/, path);
});

t.test('says nothing of what is not hidden', async t => {
  for (const path of ['/etc/key', '/tmpfile', '/var/tmp/key']) t.equal(explainHidden(path, MOUNTS), '', path);
  t.equal(
    explainHidden('/tmp/key', '22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:30 / /tmp rw - tmpfs tmpfs rw'),
    '',
  );
});
