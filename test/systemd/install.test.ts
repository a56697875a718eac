// systemd/install.sh into a DESTDIR, from a small tree that looks like the built project.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { whyNotOnPath, whyNotRoot } from '../setup/programs.js';

interface Installation {
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
}

/** What npm run build makes for PREFIX/share. */
const SHARED = [
  'man/man1/vmsecretctl.1',
  'man/man8/vmsecretd.8',
  'man/man8/vmsecretd-launch.8',
  'bash-completion/completions/vmsecretctl',
  'zsh/site-functions/_vmsecretctl',
  'fish/vendor_completions.d/vmsecretctl.fish',
];

const PROJECT_ROOT = join(import.meta.dirname, '../../..');

function setUp(t: Test): { destination: string; install(...args: string[]): Promise<Installation> } {
  const folder = t.testdir({
    destination: { var: { lib: { vmsecretd: { 'vms.json': '{}' } } } },
    project: {
      'package.json': '{"type":"module"}',
      dist: {
        bundle: { 'daemon.js': 'console.log("daemon", ...process.argv.slice(2))' },
        test: { 'a.js': '' },
      },
      docs: { 'install.md': '', 'man-page.ts': '', 'sbom.sh': '', decisions: { '0001.md': '' } },
      node_modules: { fastify: { 'index.js': '' } },
    },
  });
  for (const path of SHARED) {
    const file = join(folder, 'project/dist/share', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, path);
  }
  cpSync(join(PROJECT_ROOT, 'systemd'), join(folder, 'project/systemd'), { recursive: true });
  const destination = join(folder, 'destination');
  async function install(...args: string[]): Promise<Installation> {
    const script = join(folder, 'project/systemd/install.sh');
    const { exitCode, stdout, stderr } = await execa(script, args, {
      env: { DESTDIR: destination },
      reject: false,
    });
    return { exitCode, stdout, stderr };
  }
  return { destination, install };
}

t.test('puts everything below the prefix, with paths that fit it', async t => {
  const { destination, install } = setUp(t);
  const { exitCode, stdout, stderr } = await install('--prefix', '/opt/vms');
  t.match({ exitCode, stderr }, { exitCode: 0, stderr: '' });
  t.notMatch(stdout, 'systemctl', 'nothing is to be started here');
  const library = join(destination, 'opt/vms/lib/vmsecretd');
  t.strictSame(readdirSync(join(library, 'dist')), ['bundle'], 'no tests');
  t.notOk(existsSync(join(library, 'node_modules')), 'packages are in the bundles');
  t.strictSame(readdirSync(join(library, 'docs')).sort(), ['decisions', 'install.md'], 'pages alone');

  for (const path of SHARED) t.equal(readFileSync(join(destination, 'opt/vms/share', path), 'utf8'), path);

  const unit = readFileSync(join(destination, 'etc/systemd/system/microvm@.service'), 'utf8');
  t.match(unit, 'ExecStart=/opt/vms/bin/vmsecretd-launch %i');
  t.notMatch(unit, '/usr/local');
  t.equal(statSync(join(destination, 'opt/vms/bin/vmsecretd-launch')).mode & 0o777, 0o755);
  const program = readFileSync(join(destination, 'opt/vms/bin/vmsecretd'), 'utf8');
  t.match(program, 'exec ');
  t.match(program, '/opt/vms/lib/vmsecretd/dist/bundle/daemon.js "$@"');
});

t.test('can be repeated, and replaces what an older version had', async t => {
  const { destination, install } = setUp(t);
  await install();
  const stale = join(destination, 'usr/local/lib/vmsecretd/dist/bundle/stale.js');
  cpSync(join(destination, 'usr/local/lib/vmsecretd/dist/bundle/daemon.js'), stale);
  const oldSocket = join(destination, 'usr/local/lib/systemd/system/vmsecretd-launch.socket');
  writeFileSync(oldSocket, '[Socket]\n');
  t.equal((await install()).exitCode, 0);
  t.notOk(existsSync(stale));
  t.notOk(existsSync(oldSocket), 'a socket that every local user reached');
});

t.test('takes all of it away again, but the state only when told to', async t => {
  const { destination, install } = setUp(t);
  const files = async (): Promise<string> =>
    (await execa('find', ['-type', 'f'], { cwd: destination })).stdout;
  await install();
  const { stdout } = await install('--uninstall');
  t.match(stdout, /var\/lib\/vmsecretd stay \(--purge removes them\)/);
  t.equal(await files(), './var/lib/vmsecretd/vms.json');
  t.equal((await install('--uninstall', '--purge')).exitCode, 0);
  t.equal(await files(), '');
});

t.test('leaves no link to a unit that is gone', async t => {
  const { destination, install } = setUp(t);
  await install();
  const wants = join(destination, 'etc/systemd/system/multi-user.target.wants');
  mkdirSync(wants, { recursive: true });
  const units = '/usr/local/lib/systemd/system';
  symlinkSync(`${units}/microvm@.service`, join(wants, 'microvm@web.service'));
  symlinkSync(`${units}/vmsecretd.service`, join(wants, 'vmsecretd.service'));
  symlinkSync('/usr/lib/systemd/system/sshd.service', join(wants, 'sshd.service'));
  await install('--uninstall');
  t.strictSame(readdirSync(wants), ['sshd.service']);
});

t.test('every link of the installed pages leads somewhere', async t => {
  const { destination, install } = setUp(t);
  const project = join(destination, '../project');
  for (const item of [
    'docs',
    'nixos-module',
    'examples',
    'guest',
    'README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'LICENSE',
  ])
    cpSync(join(PROJECT_ROOT, item), join(project, item), { recursive: true });
  const programs = 'src/system/host-programs.json';
  mkdirSync(dirname(join(project, programs)), { recursive: true });
  cpSync(join(PROJECT_ROOT, programs), join(project, programs));
  await install();
  const library = join(destination, 'usr/local/lib/vmsecretd');
  const pages = [
    'README.md',
    'CHANGELOG.md',
    ...readdirSync(join(library, 'docs'), { recursive: true, encoding: 'utf8' }).map(page =>
      join('docs', page),
    ),
  ];
  const dead = pages
    .filter(page => page.endsWith('.md'))
    .flatMap(page =>
      [...readFileSync(join(library, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)\s#]+)/g)]
        .map(([, link = '']) => join(dirname(page), link))
        .filter(link => !existsSync(join(library, link)))
        .map(link => `${page}: ${link}`),
    );
  t.strictSame(dead, []);
});

t.test('takes no Node that is too old', async t => {
  const { destination, install } = setUp(t);
  const program = join(destination, '../project/dist/bundle/daemon.js');
  writeFileSync(program, 'console.error("vmsecretd needs Node 20.19 or later"); process.exit(1)');
  t.match(await install(), {
    exitCode: 1,
    stderr: /needs Node 20\.19 or later\ninstall\.sh: .*node: vmsecretd does not run with it; install Node/,
  });
  t.notOk(existsSync(join(destination, 'usr/local/lib/vmsecretd')));
});

t.test('refuses what it does not know', async t => {
  const { destination, install } = setUp(t);
  for (const args of [
    ['--unknown'],
    ['--purge'],
    ['--prefix'],
    ['--prefix', 'relative'],
    ['--prefix', '/a b'],
    ['--prefix='],
  ]) {
    t.equal((await install(...args)).exitCode, 2, args.join(' '));
  }
  t.notOk(existsSync(join(destination, 'usr')));
});

t.test('refuses a project that was not built', async t => {
  const { install, destination } = setUp(t);
  await execa('rm', ['-r', join(destination, '../project/dist')]);
  t.match(await install(), { exitCode: 1, stderr: /is not built: npm ci && npm run build/ });
});

t.test('the launcher and the installer of the guest parts say how they are used', async t => {
  const run = (script: string, argument: string) =>
    execa(join(PROJECT_ROOT, script), [argument], { reject: false });
  t.match(await run('systemd/vmsecretd-launch', '--help'), {
    exitCode: 0,
    stdout: 'usage: vmsecretd-launch NAME [-- COMMAND...]',
  });
  for (const option of ['--help', '-r'])
    t.match(await run('guest/install.sh', option), { exitCode: 2, stderr: 'usage: install.sh [ROOT]' });
});

t.test(
  'definitions are for root and operators',
  { skip: whyNotRoot() || whyNotOnPath('systemd-tmpfiles') },
  async t => {
    const root = t.testdir({
      etc: { passwd: 'root:x:0:0::/:/bin/sh\n', group: 'root:x:0:\nvmsecretd:x:901:\nkvm:x:902:\n' },
    });
    await execa('systemd-tmpfiles', [
      '--create',
      `--root=${root}`,
      join(PROJECT_ROOT, 'systemd/vmsecretd.tmpfiles'),
    ]);
    const { mode, uid, gid } = statSync(join(root, 'etc/vmsecretd/vms'));
    t.strictSame({ mode: mode & 0o7777, uid, gid }, { mode: 0o750, uid: 0, gid: 901 });
  },
);
