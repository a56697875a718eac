import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { listBlocks, readInline } from '../setup/pages.js';
import { whyNoKvm, whyNotOnPath } from '../setup/programs.js';
import { AS_USERS_DO } from '../setup/spawn-node.js';

const FIRST_VM = 'docs/first-vm.md';
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
  kill $DAEMON
  rm -rf "$D"
' EXIT
`;
const skip = whyNotOnPath('qemu-system-x86_64') || whyNotOnPath('curl');

const [prepare = '', use = ''] = listBlocks(FIRST_VM).map(({ text }) => text);
// This test runs from a build, and leaves nothing behind when a command fails.
const prepared = prepare.replace('npm ci && npm run build\n', '');

function run(shell: string, script: string) {
  const [env, ...unset] = AS_USERS_DO;
  const args = [...unset, shell, '-euc', END_EVERYTHING + script];
  return spawnSync(env, args, { encoding: 'utf8', timeout: 60_000 });
}

/** The second block, for cloud-hypervisor as the page says. */
function useCloudHypervisor(): string {
  const hypervisor = readInline(FIRST_VM, '"hypervisor": "qemu"');
  const command = readInline(
    FIRST_VM,
    `["--kernel", "'$D'/guest", "--memory", "size=64M", "--serial", "tty"]`,
  );
  return use.replace(`${hypervisor}, `, '').replace(/"command": \[.*\]/, () => `"command": ${command}`);
}

const RUNS = {
  'in bash': { shell: 'bash', second: use, skip },
  'in sh': { shell: 'sh', second: use, skip },
  'with cloud-hypervisor': {
    shell: 'bash',
    second: useCloudHypervisor(),
    skip: whyNotOnPath('cloud-hypervisor') || whyNoKvm() || whyNotOnPath('curl'),
  },
};

for (const [how, { shell, second, skip }] of Object.entries(RUNS))
  t.test(`the commands of docs/first-vm.md work as they stand, ${how}`, { skip }, async t => {
    const { status, stdout, stderr } = run(shell, prepared + second);
    t.equal(status, 0, stderr);
    const [health, put, start, shown, printed, ...rest] = stdout.trimEnd().split('\n');
    t.match(health, '"status":"ok"');
    t.match(put, '"state":"stopped"');
    t.match(start, '"state":"running"');
    t.match(shown, '"sizeBytes":13');
    t.equal(printed, /decode-console\.js +# (.*)/.exec(use)?.[1], 'the guest has its credential');
    t.match(rest.join('\n'), /^web +running/m);
    t.match(rest.at(-1), '"state":"stopped"');
  });

t.test('where its daemon does not start, docs/first-vm.md ends with the reason', { skip }, async t => {
  const invalid = `echo '{"identites": []}' >$D/config.json\n`;
  const script = prepared.replace('node dist/bundle/daemon.js', `${invalid}node dist/bundle/daemon.js`);
  const { signal, stderr } = run('bash', script);
  t.equal(signal, null, 'the loop ends');
  t.match(stderr, /config\.json.*identites.*identities/s);
});
