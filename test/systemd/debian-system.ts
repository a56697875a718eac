// Boots a small Debian with a real systemd in a container and runs scripts inside it, from a unit. The tree is built once
// and cached outside the project; a run writes to memory only. Needs root and the Debian programs below.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cacheDirectory } from '../setup/cache-directory.js';
import { createOwnCgroup } from './own-cgroup.js';

export interface ScriptResult {
  status: number;
  /** Standard output and standard error, as they came. */
  output: string;
}

export interface DebianSystem {
  /** Runs a POSIX shell script as root inside. Several may run at once. */
  run(script: string, options?: { deadlineMs?: number }): Promise<ScriptResult>;
  /** What was printed on the console so far: the boot, and the shutdown after powerOff. */
  consoleText(): string;
  /** Ends as `systemctl poweroff` does, with every ExecStop=. */
  powerOff(options?: { deadlineMs?: number }): Promise<void>;
  /** Ends it at once, whatever it does; for t.after. */
  close(): Promise<void>;
  /** Ends it as a power cut does: every process by SIGKILL, and nothing is told. */
  cutPower(): Promise<void>;
}

export interface DebianSystemOptions {
  /** Debian's name of the release, as `trixie`; unless given, the host's own with the project and its Node. */
  suite?: string;
  /** Whether it has the host's network, to reach Debian's servers. */
  network?: boolean;
  /** In place of that a bridge that its interface host0 is put on, in a network namespace of the host. */
  bridge?: { namespace: string; name: string };
  /** More than what the tree of most tests has. */
  packages?: readonly string[];
  /** As releases of systemd from 258 on want them; controllers are there only where the host has them so. */
  hasUnifiedCgroups?: boolean;
  /** Path inside to path on the host, read-only. */
  binds?: Readonly<Record<string, string>>;
  bootDeadlineMs?: number;
}

const PROJECT_ROOT = join(import.meta.dirname, '../../..');
const SOURCES = join(PROJECT_ROOT, 'test/systemd');
const PROGRAMS = ['debootstrap', 'systemd-nspawn', 'script', 'flock'];

/** Why no Debian can be booted here, for `t.test(…, { skip })`; false when it can. */
export function whyNoDebianSystem(): string | false {
  if (process.getuid?.() !== 0) return 'needs root to boot a container';
  const folders = (process.env.PATH ?? '').split(':');
  const missing = PROGRAMS.filter(program => !folders.some(folder => existsSync(join(folder, program))));
  return missing.length > 0 && `needs ${missing.join(', ')}`;
}

/** A boot that hangs is tried a second time; standard error has the console of the first one. */
export async function bootDebian(options: DebianSystemOptions = {}): Promise<DebianSystem> {
  const cache = cacheDirectory();
  const tree = await buildTree(cache, options);
  try {
    return await boot(cache, tree, options);
  } catch (error) {
    console.error(`# boots a second container: ${(error as Error).message.replaceAll('\n', '\n# ')}`);
    return await boot(cache, tree, options);
  }
}

async function boot(cache: string, tree: string, options: DebianSystemOptions): Promise<DebianSystem> {
  const exchange = await mkdtemp(join(cache, 'run-'));
  await execa('mkfifo', [join(exchange, 'requests')]);
  const project = options.suite === undefined && {
    '/usr/bin/node': process.execPath,
    '/project': PROJECT_ROOT,
  };
  const binds = { ...project, ...options.binds };
  const cgroup = createOwnCgroup(`vmsecretd-test-${basename(exchange)}`);

  const { bridge } = options;
  const nspawn = [
    ...(bridge === undefined ? [] : ['nsenter', `--net=/run/netns/${bridge.namespace}`]),
    'systemd-nspawn',
    `--directory=${tree}`,
    `--machine=${basename(exchange).toLowerCase()}`,
    ...['--boot', '--register=no', '--keep-unit', '--link-journal=no'],
    ...networkOptions(options),
    // Shared by runs at the same time, and unchanged by them: what is written goes to memory.
    ...['--read-only', '--volatile=overlay'],
    `--bind=${exchange}:/exchange`,
    `--bind-ro=${join(SOURCES, 'agent.sh')}:/agent.sh`,
    `--bind-ro=${join(SOURCES, 'agent.service')}:/etc/systemd/system/vmsecretd-test.service`,
    ...(await bindKvm(exchange)),
    ...Object.entries(binds).map(([inside, outside]) => `--bind-ro=${outside}:${inside}`),
    'systemd.wants=vmsecretd-test.service',
  ];
  // systemd-nspawn --boot wants a terminal: script gives it one.
  const child = execa(
    'script',
    ['-qec', `${cgroup.enter} && exec ${nspawn.map(quote).join(' ')}`, '/dev/null'],
    {
      reject: false,
      stdin: 'ignore',
      all: true,
      buffer: false,
      forceKillAfterDelay: 5000,
      env: options.hasUnifiedCgroups ? { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' } : {},
    },
  );
  let consoleText = '';
  child.all.setEncoding('utf8').on('data', (text: string) => {
    consoleText += text;
  });
  const ended = child.then(() => undefined);
  const orEnded = <Result>(promise: Promise<Result>, what: string): Promise<Result> =>
    Promise.race([
      promise,
      ended.then(() => {
        throw new Error(`the container ended before ${what}`);
      }),
    ]);

  async function close(): Promise<void> {
    child.kill('SIGTERM');
    await ended;
    await cgroup.remove();
    await rm(exchange, { recursive: true, force: true });
  }

  try {
    await orEnded(waitForFile(exchange, 'booted', options.bootDeadlineMs ?? 60_000), 'it had booted');
  } catch (error) {
    await close();
    throw new Error(`${(error as Error).message}\non the console:\n${consoleText.slice(-8000)}`);
  }

  let lastId = 0;
  return {
    async run(script, { deadlineMs = 60_000 } = {}) {
      lastId += 1;
      const id = String(lastId);
      await writeFile(join(exchange, `${id}.sh`), script);
      await sendRequest(exchange, id);
      await orEnded(waitForFile(exchange, `${id}.status`, deadlineMs), 'the script ended').catch(
        async (error: Error) => {
          const output = await readFile(join(exchange, `${id}.out`), 'utf8').catch(() => '');
          throw new Error(
            `${error.message}\nin the script:\n${script}\nwhich had printed:\n${output}\non the console:\n${consoleText.slice(-2000)}`,
          );
        },
      );
      return {
        status: Number(readFileSync(join(exchange, `${id}.status`), 'utf8')),
        output: readFileSync(join(exchange, `${id}.out`), 'utf8'),
      };
    },
    consoleText: () => consoleText,
    async powerOff({ deadlineMs = 120_000 } = {}) {
      await writeFile(join(exchange, 'poweroff.sh'), 'systemctl poweroff');
      await sendRequest(exchange, 'poweroff');
      await withDeadline(ended, deadlineMs, 'the container is powered off');
      await close();
    },
    close,
    async cutPower() {
      await cgroup.remove();
      await ended;
    },
  };
}

function networkOptions({ network, bridge }: DebianSystemOptions): string[] {
  if (bridge !== undefined) return [`--network-bridge=${bridge.name}`];
  return network ? ['--resolv-conf=bind-host'] : ['--private-network'];
}

async function buildTree(cache: string, { suite = '', packages = [] }: DebianSystemOptions): Promise<string> {
  const builder = join(SOURCES, 'build-debian.sh');
  const version = createHash('sha256')
    .update(await readFile(builder))
    .update(packages.join(','))
    .digest('hex')
    .slice(0, 12);
  const tree = join(cache, `debian-${version}${suite}`);
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await execa('sh', [builder, tree, suite, packages.join(',')], { timeout: 900_000 });
  return tree;
}

// A device node of our own, so that the group inside can be given it without a change to the host's /dev/kvm.
async function bindKvm(exchange: string): Promise<string[]> {
  if (!existsSync('/dev/kvm')) return [];
  const node = join(exchange, 'kvm');
  await execa('mknod', [node, 'c', '10', '232']);
  await chmod(node, 0o666);
  return [`--bind=${node}:/dev/kvm`];
}

async function sendRequest(exchange: string, id: string): Promise<void> {
  const requests = await open(join(exchange, 'requests'), 'r+');
  await requests.write(`${id}\n`);
  await requests.close();
}

async function waitForFile(folder: string, name: string, deadlineMs: number): Promise<void> {
  const path = join(folder, name);
  let check = () => {};
  const there = new Promise<void>(resolve => {
    check = () => existsSync(path) && resolve();
  });
  const watcher = watch(folder, check);
  check();
  await withDeadline(there, deadlineMs, `${name} is there`).finally(() => watcher.close());
}

async function withDeadline<Result>(
  promise: Promise<Result>,
  deadlineMs: number,
  what: string,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms in vain until ${what}`)), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
