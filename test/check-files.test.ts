// `vmsecretd check`, which a NixOS build runs on what it writes: no daemon, no file but those that are named.
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { AS_USERS_DO } from './setup/spawn-node.js';

const DAEMON = join(import.meta.dirname, '../src/daemon.js');

function check(t: Test, files: Record<string, string>, args: string[], options = {}) {
  const cwd = t.testdir(files);
  const [env, ...unset] = AS_USERS_DO;
  return execa(env, [...unset, process.execPath, DAEMON, ...args], { cwd, reject: false, ...options });
}

t.test('names what is valid and what is not, and fails for one invalid file', async t => {
  const files = { 'a.json': '{"command": ["--kernel", "/k"]}', 'b.json': '{"comand": []}' };
  const { exitCode, stdout, stderr } = await check(t, files, ['check', 'a.json', 'b.json']);
  t.equal(exitCode, 1);
  t.match(stdout, /a\.json: valid$/);
  t.match(stderr, /b\.json.*command/);
});

t.test('names an option that the hypervisor does not have, and whose it is', async t => {
  for (const [definition, says] of [
    [
      '{"command": ["--kernle", "/k"]}',
      /VM a: .*a\.json: There is no option "--kernle". Did you mean "--kernel"/,
    ],
    ['{"command": "--kernel $HOME/k"}', /VM a: .*a\.json: The command cannot be split at "\$"/],
    ['{"hypervisor": "qemu", "command": ["-daemonize"]}', /VM a: .*-daemonize cannot be used/],
    [
      '{"hypervisor": "qemu", "command": ["-M", "microvm"], "credentials": {"K": {"text": "v"}}}',
      /VM a: .*-machine microvm cannot be used: it has no SMBIOS table/,
    ],
    ['{"hypervisor": "qemu", "command": ["-kernle"]}', /VM a: .*a\.json: -kernle is the last word/],
  ] as const) {
    const result = await check(t, { 'a.json': definition }, ['check', 'a.json']);
    t.match(result, { exitCode: 1, stdout: '', stderr: says }, definition);
  }
});

t.test('checks the configuration that --config names, metrics.listen included', async t => {
  const good = '{"metrics": {"listen": "127.0.0.1:9101"}}';
  t.match(await check(t, { 'config.json': good }, ['--config', 'config.json', 'check']), {
    exitCode: 0,
    stdout: 'config.json: valid',
    stderr: '',
  });
  for (const [bad, says] of [
    ['{"identites": []}', /"identites".*identities/],
    ['{"metrics": {"listen": "0.0.0.0:9101"}}', /loopback/],
  ] as const) {
    const result = await check(t, { 'config.json': bad }, ['--config', 'config.json', 'check']);
    t.match(result, { exitCode: 1, stderr: says }, bad);
  }
});

t.test('says that a configuration is not there, and that there is nothing to check', async t => {
  t.match(await check(t, {}, ['--config', 'config.json', 'check']), {
    exitCode: 0,
    stdout: 'config.json does not exist: every key has its default',
  });
  t.match(await check(t, {}, ['check']), { exitCode: 2, stderr: /nothing to check.*--config/ });
});

t.test('warns of a group that this host does not have; the one it is for may have it', async t => {
  const files = { 'config.json': '{"operatorGroup": "no-such-group"}' };
  t.match(await check(t, files, ['--config', 'config.json', 'check']), {
    exitCode: 0,
    stdout: 'config.json: valid',
    stderr: /would not start: operatorGroup in .*config\.json: there is no group no-such-group; groupadd/,
  });
});

t.test('refuses paths that no daemon could mean, and quotes none: it may be a key', async t => {
  const key = 'AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ';
  const paths = [
    '~/key',
    '$HOME/key',
    'file:///etc/key',
    'keys/key',
    'hunter2',
    'correct horse',
    key,
    `/${key}`,
  ];
  for (const path of paths) {
    const configs: [field: string, config: object][] = [
      ['identities.1', { identities: ['/etc/key', path] }],
      ['passphraseFiles.0', { passphraseFiles: [path] }],
      ...((path.includes('/') ? [['hypervisors.qemu.path', { hypervisors: { qemu: { path } } }]] : []) as [
        string,
        object,
      ][]),
    ];
    for (const [field, config] of configs) {
      const files = { 'config.json': JSON.stringify(config) };
      const result = await check(t, files, ['--config', 'config.json', 'check']);
      t.match(result, { exitCode: 1, stdout: '' }, path);
      t.match(result.stderr, new RegExp(`${field}: must be (an absolute path|the path of a file)`), path);
      t.notMatch(result.stderr, path, 'the path is not shown');
    }
  }
  const good = {
    identities: ['/a'],
    passphraseFiles: ['/b c'],
    hypervisors: { qemu: { path: 'qemu-system-x86_64' } },
  };
  const result = await check(t, { 'config.json': JSON.stringify(good) }, [
    '--config',
    'config.json',
    'check',
  ]);
  t.match(result, { exitCode: 0 });
});

t.test('the daemon does not start with a key in place of a path, and logs nothing of it', async t => {
  const secret = 'AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ';
  for (const config of [{ identities: [secret] }, { passphraseFiles: ['hunter2'] }]) {
    const files = { 'config.json': JSON.stringify(config) };
    const folders = ['--runtime-directory', 'run', '--state-directory', 'state'];
    const { exitCode, all } = await check(t, files, ['--config', 'config.json', ...folders], { all: true });
    t.equal(exitCode, 1);
    t.match(all, /must be/);
    t.notMatch(all, secret);
    t.notMatch(all, 'hunter2');
  }
});

t.test('refuses credentials that can never start, those of the command line included', async t => {
  const oem = (strings: string) => ({
    command: ['--kernel', '/k', '--platform', `oem_strings=[${strings}]`],
  });
  const command = ['--kernel', '/k'];
  const many = Array.from({ length: 250 }, (_, at) => `s${at}`);
  const KEY = { credentials: { KEY: { text: 'x' } } };
  const six = Object.fromEntries(many.slice(0, 6).map(name => [name, { text: 'x' }]));
  const cases: [object, RegExp][] = [
    [{ command, credentials: { 'A=B': { text: 'x' } } }, /"A=B" is no credential name/],
    [{ command, ...KEY, oemStrings: ['io.systemd.credential:KEY=y'] }, /credential KEY is there twice/],
    [{ ...oem('io.systemd.credential:KEY=y'), ...KEY }, /credential KEY is there twice/],
    [{ ...oem(many.join()), credentials: six }, /256 OEM strings \(6 of them credentials\)/],
    [
      {
        hypervisor: 'qemu',
        command: ['-smbios', 'type=11,value=io.systemd.credential:KEY=y'],
        ...KEY,
      },
      /credential KEY is there twice/,
    ],
    [{ command, credentials: { A: '/run/secrets/x' } }, /credentials\.A: must have exactly one of age, /],
  ];
  for (const [definition, says] of cases) {
    const result = await check(t, { 'web.json': JSON.stringify(definition) }, ['check', 'web.json']);
    t.match(result, { exitCode: 1, stdout: '', stderr: says });
    t.match(result.stderr, 'VM web');
  }
});

t.test('says nothing of this host where the file is for another', async t => {
  const files = { 'config.json': '{"operatorGroup": "no-such-group"}' };
  t.match(await check(t, files, ['--config', 'config.json', 'check', '--other-host']), {
    exitCode: 0,
    stdout: 'config.json: valid',
    stderr: '',
  });
});
