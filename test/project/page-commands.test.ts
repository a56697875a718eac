// Every command of the documentation is run by a test: each block of shell, and each command in backticks, is listed here with the
// test that takes it from its page, or with why none can. A new one fails until it is listed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { listBlocks, listInline, PAGES } from '../setup/pages.js';
import { PROJECT_ROOT } from '../setup/project-root.js';

const ON_SYSTEMD = 'test/systemd/pages.test.ts';
const PACEMAKER = 'test/soak/pacemaker.ts';
const REFERENCE = 'test/integration/pages.test.ts';
const CI = '.ci/run';
const PACKAGES = 'test/systemd/packages.test.ts';

/** Of each page its blocks of shell in their order: who runs them. */
const BLOCKS: Readonly<Record<string, readonly string[]>> = {
  'README.md': ['test/project/demo.test.ts', PACKAGES],
  'CONTRIBUTING.md': [CI],
  'docs/command-line.md': [REFERENCE],
  'docs/first-vm.md': ['test/project/readme.test.ts', 'test/project/readme.test.ts'],
  'docs/http-api.md': [ON_SYSTEMD],
  'docs/install.md': [PACKAGES, PACKAGES, ON_SYSTEMD, ON_SYSTEMD],
  'docs/operations.md': [ON_SYSTEMD, ON_SYSTEMD],
  'docs/pacemaker.md': [PACEMAKER, PACEMAKER, PACEMAKER],
  'docs/secrets.md': ['test/systemd/sources.test.ts'],
  'docs/systemd.md': [ON_SYSTEMD],
};

/** Blocks of these languages are read by tests as what they are; `text` shows, and is not typed. */
const OTHER_LANGUAGES = ['ini', 'json', 'nix', 'text', 'yaml'];

/** Commands in backticks. Those of vmsecretctl and vmsecretd are not here: cli-pages.test.ts takes all of them. */
const INLINE: Readonly<Record<string, string>> = {
  'npm test': CI,
  'npm audit': CI,
  'npm run docs': 'test/project/reference.test.ts',
  'npm run bench': 'test/bench/bench.test.ts',
  'npm run sbom': 'test/project/dependencies.test.ts',
  'npm run package': PACKAGES,
  'npm ci && npm run package': PACKAGES,
  'npm install --global ./vmsecretd-0.2.0.tgz': PACKAGES,
  'age -R /etc/ssh/ssh_host_ed25519_key.pub -o api-key.age': ON_SYSTEMD,
  'age -r HOST -r OFFLINE': ON_SYSTEMD,
  'age -d -i IDENTITY FILE': ON_SYSTEMD,
  'age-keygen -o key.txt': ON_SYSTEMD,
  'chmod g-w /etc/vmsecretd/vms': ON_SYSTEMD,
  'sudo systemctl start microvm@NAME': ON_SYSTEMD,
  'sudo systemctl restart vmsecretd': ON_SYSTEMD,
  'systemctl status vmsecretd': ON_SYSTEMD,
  'systemctl stop microvm@demo': ON_SYSTEMD,
  'systemctl edit microvm@demo': ON_SYSTEMD,
  'systemctl stop vmsecretd': ON_SYSTEMD,
  'systemctl start vmsecretd-admin.socket': ON_SYSTEMD,
  'systemctl restart vmsecretd-place': ON_SYSTEMD,
  'systemctl enable vmsecretd-kubernetes-secret@NAME': ON_SYSTEMD,
  'journalctl -u UNIT': ON_SYSTEMD,
  'journalctl -u vmsecretd': ON_SYSTEMD,
  'journalctl -u microvm@demo -f': ON_SYSTEMD,
  'node dist/bundle/vmsecretctl.js list': ON_SYSTEMD,
  'node dist/bundle/vmsecretctl.js stop --all': ON_SYSTEMD,
  'guest/install.sh [ROOT]': ON_SYSTEMD,
  'install.sh --uninstall': 'test/systemd/power-off.test.ts',
  'DESTDIR=… systemd/install.sh --prefix /usr': 'test/systemd/install.test.ts',
  'systemd-analyze security': 'test/systemd/real-systemd.test.ts',
  'vmsecretd-launch --hold NAME -- RUNNER': 'test/systemd/inherited-net.test.ts',
};

/** What cannot be run here, or is not there to be typed. */
const WHY_NOT: Readonly<Record<string, string>> = {
  'systemctl exit 3': 'in a guest',
  'CLOUD_HYPERVISORS=/path/a:/path/b npm test': 'needs programs of several releases',
  'npm run build': 'npm test runs it first',
  'npm run demo': 'in README.md: test/project/demo.test.ts',
  'npm run demo -- --guest debian': 'minutes; test/guests/debian boots that guest',
  'npm run demo -- --systemd': 'half a minute; test/systemd does the same',
  'npm run bench -- --only start,api': 'bench.test.ts runs all sections',
  'npm run soak': 'an hour',
  'SCHEMATHESIS=/tmp/schemathesis/bin/schemathesis npm run soak': 'an hour',
  'python3 -m venv /tmp/schemathesis && /tmp/schemathesis/bin/pip install schemathesis':
    'from the package index',
  'age -d': 'what figures are compared with',
  'age -p': 'asks on a terminal; identity-kinds.test.ts has its files',
  'age -r': 'docs/first-vm.md has a program of its own for it',
  'agenix -r': 'agenix is for NixOS',
  'microvm -c': 'NixOS',
  'nix build': 'needs a Nix store and the network',
  'nixos-rebuild switch --flake .#host': 'NixOS',
  "systemd-run -P -p LoadCredential=x:API_KEY sh -c 'cat $CREDENTIALS_DIRECTORY/x'":
    'in a guest; test/guests/debian has a service that reads one',
  'journalctl -u vmsecretd-refresh': 'in a guest; test/guests/debian has the part that logs there',
  "journalctl -u 'vmsecretd-credentials@*'": 'in a guest; test/guests/debian has the part that logs there',
  'systemd-creds encrypt': 'docs/secrets.md has it with its arguments',
  'systemd-creds decrypt': 'what the deliverer runs',
  'systemctl edit vmsecretd.service': 'opens an editor; docs/systemd.md has one that a test types',
  'systemctl status': 'docs/systemd.md has it with its unit',
  'systemctl start': 'docs/install.md has it with its unit',
  'systemctl stop': 'docs/systemd.md has it with its unit',
};

const PROGRAM =
  /^(sudo |\w+=\S+ )*(npm|npx|node|python3?|systemctl|journalctl|systemd-\w+|age(-keygen)?|agenix|nix|nixos-\w+|curl|chmod|chown|ip|microvm|vmsecretd-launch|bash|sh|(\S+\/)?install\.sh) [^=]/;

t.test('every block of the documentation says its language, and every one of shell has its test', async t => {
  for (const page of PAGES) {
    const languages = listBlocks(page).map(({ language }) => language);
    const unknown = languages.filter(language => language !== 'sh' && !OTHER_LANGUAGES.includes(language));
    t.strictSame(unknown, [], `${page}: languages`);
    const tests = BLOCKS[page] ?? [];
    t.equal(languages.filter(language => language === 'sh').length, tests.length, `${page}: blocks of shell`);
    for (const test of tests.filter(test => test !== CI))
      t.match(readFileSync(join(PROJECT_ROOT, test), 'utf8'), page, `${test} reads ${page}`);
  }
});

t.test('every command in backticks has its test, or why it has none', async t => {
  const found = new Set(PAGES.flatMap(listInline).filter(code => PROGRAM.test(`${code} `)));
  const listed = [...Object.keys(INLINE), ...Object.keys(WHY_NOT)];
  t.strictSame(
    [...found].filter(code => !listed.includes(code)),
    [],
    'none is new',
  );
  t.strictSame(
    listed.filter(code => !found.has(code)),
    [],
    'none is gone',
  );
  for (const [code, test] of Object.entries(INLINE).filter(([, test]) => [ON_SYSTEMD, CI].includes(test)))
    t.ok(readFileSync(join(PROJECT_ROOT, test), 'utf8').includes(code), code);
});
