import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { whyNotOnPath } from '../setup/programs.js';

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.md'))
    .map(path => join('docs', path)),
];

t.test('every link of the documentation leads to something in the repository', async t => {
  for (const page of PAGES) {
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)#\s]+)/g)].flatMap(
      ([, link]) => link ?? [],
    );
    const dead = links.filter(link => !link.includes('://') && !existsSync(join(dirname(page), link)));
    t.strictSame(dead, [], page);
  }
});

t.test('every script and program that the documentation runs is there', async t => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
  const texts = PAGES.map(page => readFileSync(page, 'utf8')).join('\n');
  const named = (pattern: RegExp) => [...new Set([...texts.matchAll(pattern)].map(([, name = '']) => name))];
  const run = named(/\bnpm run ([a-z:]+)/g);
  t.ok(run.length > 4, run.join(', '));
  t.strictSame(
    run.filter(name => !(name in scripts)),
    [],
  );
  const files = named(
    /(?:^|[\s`])(?:sudo |node |bash )?((?:systemd|demo|test|dist\/src|guest)\/[\w./-]+\.(?:sh|js))\b/gm,
  );
  t.ok(files.length > 1, files.join(', '));
  t.strictSame(
    files.filter(file => !existsSync(file)),
    [],
  );
});

const END_EVERYTHING = `trap 'set +e
  curl -s --unix-socket $D/run/admin.sock -X POST http://localhost/v1/vms/web/kill
  kill $(jobs -p)
  rm -rf "$D"
' EXIT
`;
const skip = whyNotOnPath('qemu-system-x86_64') || whyNotOnPath('curl');

t.test('the NixOS example of the README is that of its page', async t => {
  const exampleIn = (page: string) => /```nix\n[\s\S]*?```/.exec(readFileSync(page, 'utf8'))?.[0];
  t.match(exampleIn('README.md'), 'services.vmsecretd.enable = true;');
  t.equal(exampleIn('README.md'), exampleIn('docs/nixos.md'));
});

t.test('the curl commands of docs/first-vm.md work as they stand', { skip }, async t => {
  const page = readFileSync('docs/first-vm.md', 'utf8');
  const [first = '', second = ''] = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block);
  // This test runs from a build, and leaves nothing behind when a command fails.
  const script = END_EVERYTHING + first.replace('npm ci && npm run build\n', '') + second;
  const { status, stdout, stderr } = spawnSync('bash', ['-eumc', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  t.equal(status, 0, stderr);
  const [health, put, start, shown, ...rest] = stdout.trimEnd().replaceAll('}{', '}\n{').split('\n');
  t.match(health, '"status":"ok"');
  t.match(put, '"state":"stopped"');
  t.match(start, '"state":"running"');
  t.match(shown, '"sizeBytes":13');
  const printed = Buffer.from('correct horse').toString('base64');
  t.ok(stdout.includes(`io.systemd.credential.binary:API_KEY=${printed}`), 'the guest has its credential');
  t.match(rest.at(-1), '"state":"stopped"');
});
