// Sources through the installed, sandboxed daemon on a real systemd, with a key of the host as systemd makes it.
import t from 'tap';
import { readBlock } from '../setup/pages.js';
import { bootVmHost, SECRET, type VmHost, whyNoVmHost } from './vm-host.js';

const skip = whyNoVmHost();
const FIXTURES = '/project/test/fixtures/sops';

const SETUP = `
set -e
# As a host that ssh-to-age made a recipient for.
install -m 600 ${FIXTURES}/keys/ssh-ed25519 /etc/vmsecretd/host-key
echo '{"identities": ["/etc/vmsecretd/host-key"]}' > /etc/vmsecretd/config.json
install -D -m 600 ${FIXTURES}/v3.11.0/converted.yaml /etc/secrets/secrets.yaml

systemd-creds setup
test -e /var/lib/systemd/credential.secret
mkdir -p /etc/credstore.encrypted
printf '%s' '${SECRET}' > tls.key
${readBlock('docs/secrets.md', 'systemd-creds encrypt')}rm tls.key

printf '%s' '${SECRET}' > /etc/secrets/plain
cat > /etc/systemd/system/serve.socket << 'UNIT'
[Socket]
ListenStream=/run/serve.sock
Accept=yes
UNIT
cat > /etc/systemd/system/serve@.service << 'UNIT'
[Service]
ExecStart=/bin/cat /etc/secrets/plain
StandardInput=null
StandardOutput=socket
UNIT
systemctl daemon-reload
systemctl start serve.socket
systemctl restart vmsecretd
`;

const DEFINE = (sources: object) => `
set -e
cat > /etc/vmsecretd/vms/demo.json << 'DEFINITION'
${JSON.stringify({
  command: [
    '--kernel',
    '/opt/guests/await-power-button',
    '--memory',
    'size=64M',
    '--serial',
    'tty',
    '--console',
    'off',
  ],
  credentials: sources,
})}
DEFINITION
vmsecretctl reload`;

let host: VmHost;
t.before(async () => {
  if (skip) return;
  host = await bootVmHost(t);
  await host.sh(SETUP);
});

t.test('a unit’s guest has what each kind of source gives', { skip, timeout: 180_000 }, async t => {
  const decrypt = ['systemd-creds', 'decrypt', '/etc/credstore.encrypted/tls-key', '-'];
  await host.sh(
    DEFINE({
      SOPS: { sops: '/etc/secrets/secrets.yaml', key: 'password' },
      CREDENTIAL: { systemdCredential: '/etc/credstore.encrypted/tls-key' },
      PROGRAM: { program: decrypt },
      SOCKET: { socket: '/run/serve.sock' },
    }),
  );
  await host.sh('systemctl start microvm@demo');
  const printed = await host.sh(`eventually 'console demo | grep -q SOCKET='; console demo`);
  const delivered = (name: string, value: string) =>
    t.match(printed, `io.systemd.credential.binary:${name}=${Buffer.from(value).toString('base64')}`, name);
  delivered('SOPS', 'hunter2');
  for (const name of ['CREDENTIAL', 'PROGRAM', 'SOCKET']) delivered(name, SECRET);
  const shown = await host.sh('vmsecretctl check demo; systemctl stop microvm@demo');
  t.match(shown, /program systemd-creds decrypt \/etc\/credstore/);
});

t.test(
  'what a program writes is in no journal, and what the sandbox hides it fails for',
  { skip, timeout: 180_000 },
  async t => {
    const script = `echo "cannot: ${SECRET}" >&2; echo x > /etc/secrets/written; exit 3`;
    await host.sh(DEFINE({ LEAKS: { program: ['sh', '-c', script] } }));
    const failed = await host.sh(`
    systemctl start microvm@demo && exit 1
    journalctl --no-pager -u vmsecretd -u microvm@demo | grep -v '/run/serve'
    test ! -e /etc/secrets/written`);
    t.match(failed, /credential LEAKS: the program sh ended with status 3/);
    t.notMatch(failed, `cannot: ${SECRET}`);
    const root = await host.sh('vmsecretctl check demo || true');
    t.match(root, `cannot: ${SECRET}`, 'root sees it');
    t.match(root, /Read-only file system/);
  },
);
