import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { runAs } from '../../src/system/run-as.js';
import { resolveUser } from '../../src/system/users.js';
import { whyNotRoot } from '../setup/programs.js';

/** Runs a shell script as `runAs` says. */
function run(ids: Parameters<typeof runAs>[0], script: string): string {
  const [program, ...args] = runAs(ids, ['sh', '-c', script]);
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? stdout : `status ${status}: ${stderr}`;
}

test('runs a command without new privileges, without inheritable capabilities and without core dumps', async t => {
  const said = run(undefined, 'cat /proc/self/status; ulimit -Hc; ulimit -Sc');
  t.match(said, /^NoNewPrivs:\t1$/m);
  t.match(said, /^CapInh:\t0+$/m);
  t.match(said, /\n0\n0\n$/);
});

test('passes words that look like options and blanks on as they are', async t => {
  const [program, ...args] = runAs(undefined, ['printf', '%s|', '--reuid=0', 'a b', '', '$HOME']);
  t.equal(spawnSync(program, args, { encoding: 'utf8' }).stdout, '--reuid=0|a b||$HOME|');
});

test('runs as the user with the user’s supplementary groups', { skip: whyNotRoot() }, async t => {
  const ids = await resolveUser('web', 'nobody', undefined);
  t.ok(ids);
  t.equal(
    run(ids, 'id -u; id -G'),
    `${ids?.uid}\n${spawnSync('id', ['-G', 'nobody'], { encoding: 'utf8' }).stdout}`,
  );
});

test('what is confined already passes that on, and asks for nothing', async t => {
  const module = fileURLToPath(new URL('../../src/system/run-as.js', import.meta.url));
  const script = `import { runAs } from '${module}'; console.log(runAs(undefined, ['true']).join(' '))`;
  const node: [string, ...string[]] = [process.execPath, '--input-type=module', '-e', script];
  const said = (command: readonly string[]) =>
    spawnSync(command[0] ?? '', command.slice(1), { encoding: 'utf8' }).stdout.trim();
  t.match(said(node), /^prlimit --core=1:1 -- setpriv --no-new-privs .* true$/);
  t.equal(said(runAs(undefined, node)), 'true');
});

test('what dies with us does so however we end, and what does not lives on', async t => {
  const module = fileURLToPath(new URL('../../src/system/run-as.js', import.meta.url));
  for (const diesWithUs of [true, false]) {
    const script = `
      import { spawn } from 'node:child_process';
      import { runAs } from '${module}';
      const [program, ...args] = runAs(undefined, ['sleep', '60'], { diesWithUs: ${diesWithUs} });
      const child = spawn(program, args, { detached: true, stdio: 'ignore' });
      setTimeout(() => { console.log(child.pid); process.kill(process.pid, 'SIGKILL'); }, 300);`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    await delay(100);
    const status = spawnSync('ps', ['-o', 'stat=', '-p', stdout.trim()], { encoding: 'utf8' }).stdout;
    t.equal(/^[SR]/.test(status), !diesWithUs);
    if (!diesWithUs) process.kill(Number(stdout));
  }
});
