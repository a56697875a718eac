// Writes FOLDER/vmlinuz and FOLDER/initramfs: Debian with systemd, the project's guest parts, and a service my-app that reads
// its credentials as any service does and says on the console what it got. Builds Debian the first time, as root.
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { consoleUnit, portableGuestFiles } from '../test/guests/debian/guest-files.js';
import { buildGuestImage, writeInitramfs } from '../test/guests/debian/guest-image.js';

const MY_APP = `#!/bin/sh
echo "my-app: hello from $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), $(systemctl --version | head -n 1)"
cd "$CREDENTIALS_DIRECTORY" || exit 1
for name in *; do
  echo "my-app: $name is a file of $(stat -c '%s bytes, mode %a' "$name") on $(stat -f -c %T "$name"), SHA-256 $(sha256sum <"$name" | cut -c 1-16)"
done
echo 'my-app: that is all'
`;

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: write-debian-guest.js FOLDER');
const image = await buildGuestImage(process.cwd());
await copyFile(image.kernel, join(folder, 'vmlinuz'));
await writeInitramfs(join(folder, 'initramfs'), image, {
  files: [
    ...portableGuestFiles(resolve('guest')),
    { path: 'usr/bin/my-app', content: MY_APP, mode: 0o755 },
    ...consoleUnit('my-app', {
      service: [
        'LoadCredential=api-key:API_KEY',
        'LoadCredential=db-password:DB_PASSWORD',
        'LoadCredential=environment:ENVIRONMENT',
        'ExecStart=/usr/bin/my-app',
      ],
    }),
  ],
});
