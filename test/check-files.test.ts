// `vmsecretd check`, which a NixOS build runs on what it writes: no daemon, no file but those that are named.
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { AS_USERS_DO } from './setup/spawn-node.js';

const DAEMON = join(import.meta.dirname, '../src/daemon.js');

function check(t: Test, files: Record<string, string>, args: string[]) {
  const cwd = t.testdir(files);
  const [env, ...unset] = AS_USERS_DO;
  return execa(env, [...unset, process.execPath, DAEMON, ...args], { cwd, reject: false });
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
