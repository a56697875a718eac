// vmsecretctl against the real daemon: exit statuses, tables for people, JSON for programs.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAXIMUM_WAIT_SECONDS } from '../../src/cli/client.js';
import { LifecycleQuery } from '../../src/http/schemas.js';
import type { VmView } from '../../src/vm/vm.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { CTL } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { NO_TERMINAL } from './running-ctl.js';
import { defineVm, STAND_IN } from './vmm.js';

const ESCAPE = String.fromCharCode(27);
/** Select Graphic Rendition, ECMA-48. */
const COLOUR = new RegExp(`${ESCAPE}\\[[0-9;]*m`);

const options = { config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('vmsecretctl defines, starts, lists, shows and stops a VM', options, async (t, rig) => {
  const { daemon, canary } = rig;
  const file = join(daemon.folder, 'web.json');
  writeFileSync(file, JSON.stringify(await defineVm(STAND_IN, rig, 'other')));
  t.match(await daemon.ctl('list'), { status: 0, stdout: /^NAME +STATE +READY .*\nother +stopped +no / });
  t.match(await daemon.ctl('define', 'web', file), { status: 0, stdout: /name +web\n/, stderr: '' });
  t.match(await daemon.ctl('start', 'web', 'other'), {
    status: 0,
    stdout: /^NAME .*\nweb +running +yes +daemon +\d+ +1 .* -\nother +running/,
  });
  const shown = await daemon.ctl('--json', 'show', 'web');
  t.equal(shown.status, 0);
  t.match(JSON.parse(shown.stdout) as VmView, {
    name: 'web',
    state: 'running',
    credentials: [{ name: 'CANARY' }],
  });
  t.match(
    (await daemon.ctl('show', 'web')).stdout,
    new RegExp(`CANARY +age +/.* ${canary.text.length} bytes`),
  );
  await daemon.untilConsole('web', END_OF_OEM_STRINGS);
  t.match((await daemon.ctl('console', '--no-follow', 'web')).stdout, END_OF_OEM_STRINGS);
  t.match((await daemon.ctl('command', 'web')).stdout, `<CANARY: ${canary.text.length} bytes>`);
  t.match(await daemon.ctl('check', 'web'), { status: 0, stdout: /^ok +definition/ });
  t.match(await daemon.ctl('stop', '--all'), { status: 0, stdout: /web +stopped/ });
  t.match(await daemon.ctl('delete', 'web'), { status: 0 });
  t.match(await daemon.ctl('convert', '--', '--kernel', '/k'), { status: 0, stdout: /"kernel": "\/k"/ });
  t.match(await daemon.ctl('reload'), { status: 0, stdout: /^1 definition\n/ });
});

daemonTest('vmsecretctl says with its exit status what went wrong', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web', { more: { credentials: { KEY: { file: '/nowhere/key' } } } });
  t.match(await daemon.ctl('start', 'web'), {
    status: 1,
    stderr: /KEY: \/nowhere\/key does not exist.*\(secret_missing\)/,
  });
  t.match(await daemon.ctl('check', 'web'), { status: 1, stdout: /FAILED +credential KEY/ });
  t.match(await daemon.ctl('define', 'web', '/nowhere/web.json'), {
    status: 1,
    stderr: /cannot be read: ENOENT/,
  });
  t.match(await daemon.ctl('strat', 'web'), {
    status: 2,
    stderr: /^vmsecretctl: unknown command.*start.*\n\(vmsecretctl --help lists commands/s,
  });
  t.match(await daemon.ctl('start'), { status: 2, stderr: /which VM/ });
  t.match(await daemon.ctl('start', '--wait', 'never', 'web'), { status: 2 });
  for (const timeout of ['abc', '0', '1.5', String(MAXIMUM_WAIT_SECONDS + 1)])
    t.match(await daemon.ctl('start', '--timeout', timeout, 'web'), {
      status: 2,
      stderr: `vmsecretctl: --timeout takes whole seconds from 1 to 86400, not "${timeout}"\n`,
    });
  t.match(LifecycleQuery.properties.timeout, { maximum: MAXIMUM_WAIT_SECONDS }, 'as the daemon has it');
  t.match(await daemon.ctl('show'), { status: 2 });
  const both = await daemon.ctl('start', 'wen', 'web');
  t.match(both, { status: 3, stderr: /^vmsecretctl: There is no VM wen.*\nvmsecretctl: VM web, credential/ });
  t.match(await daemon.ctl('convert', '--kernel', '/k'), { status: 2, stderr: /\n\(put -- before/ });
  t.match(await daemon.ctl('show', 'wen'), { status: 3, stderr: /There is no VM wen.*web/ });
  t.match(await daemon.ctl('--help'), { status: 0, stdout: /Usage: vmsecretctl/ });
  t.match(await daemon.ctl('--socket', '/nowhere/admin.sock', 'list'), {
    status: 4,
    stderr:
      /cannot reach vmsecretd at \/nowhere\/admin\.sock \(ENOENT\): .*systemctl restart vmsecretd, or start vmsecretd by hand/,
  });
  t.match(await daemon.ctl('--version'), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
  t.match(await daemon.ctl('events', 'wen'), { status: 3, stderr: /There is no VM wen.*web/ });
  const odd = join(daemon.folder, 'odd.json');
  writeFileSync(odd, '{"comand": []}');
  const refused = await daemon.ctl('define', 'odd', odd);
  t.match(refused, { status: 1, stderr: `VM odd: ${odd} is not a valid definition` });
  t.match(await daemon.ctl('--socket', daemon.socket('vmsecretd'), 'delete', 'web'), {
    status: 1,
    stderr: 'vmsecretctl: that is for root, on admin.sock: sudo vmsecretctl … (forbidden)\n',
  });
  await daemon.kill9();
  t.match(await daemon.ctl('list'), {
    status: 4,
    stdout: '',
    stderr: /ECONNREFUSED.*--socket or VMSECRETD_SOCKET/,
  });
  t.match(await daemon.ctl('stop', 'web', 'db'), {
    status: 4,
    stderr: /^vmsecretctl: VM web: cannot reach .*\nvmsecretctl: VM db: cannot reach /,
  });
  const huge = ['--disk', 'path=/d,num_queues=18446744073709551615'];
  t.match(await daemon.ctl('convert', '--', '--kernel', '/k', ...huge), {
    status: 0,
    stdout: /18446744073709551615/,
    stderr: '',
  });
  t.match(await daemon.ctl('convert', '--', '--kernel', '/k', '--net', 'fd=[3]'), {
    status: 0,
    stdout: /"needsFileDescriptors": \[\s+"--net"\s+\]/,
    stderr: /--net pass open file descriptors/,
  });
  t.match(await daemon.ctl('convert', '--', '--kernle', '/k'), {
    status: 1,
    stderr: /Did you mean "--kernel".*command_invalid/,
  });
});

daemonTest('vmsecretctl colours states on a terminal, unless NO_COLOR is set', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  await daemon.act('web', 'start');
  const print = (words: readonly string[], environment: Record<string, string>) =>
    spawnSync('sh', ['-c', words.join(' ')], {
      encoding: 'latin1',
      timeout: 30_000,
      env: { PATH: process.env.PATH, VMSECRETD_SOCKET: daemon.socket('admin'), ...environment },
    }).stdout;
  for (const [args, isColoured] of [
    ['list', true],
    ['start web', true],
    ['show wen', false],
  ] as const) {
    const command = [process.execPath, CTL, args];
    const piped = print([...command, '2>&1'], { FORCE_COLOR: '1', COLORTERM: 'truecolor' });
    t.ok(piped.length > 0 && !piped.includes(ESCAPE), `${args}: nothing but text in a pipe`);
    if (NO_TERMINAL) continue;
    const onTerminal = ['script', '--quiet', '--command', `'${command.join(' ')}'`, '/dev/null'];
    t.notMatch(print(onTerminal, { NO_COLOR: '1', TERM: 'xterm' }), COLOUR, `${args}: NO_COLOR`);
    t.notMatch(print(onTerminal, { TERM: 'dumb' }), COLOUR, `${args}: a terminal without colours`);
    t.equal(COLOUR.test(print(onTerminal, { TERM: 'xterm' })), isColoured, `${args}: colours`);
  }
});
