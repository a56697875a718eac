// A full disk and a read-only one: the error says so, no VMM is left without a record, and nothing is lost.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNotRoot } from '../setup/programs.js';
import { socketFolder } from '../setup/socket-folder.js';
import { automount, whyNoAutomount } from '../system/automount.js';
import type { TestDaemon } from './daemon.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors }, skip: whyNotRoot() || whyNoTmpfs() };

function whyNoTmpfs(): string | false {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'root may not mount a tmpfs here';
  }
}

class SmallDisk {
  readonly #folder: string;

  /** The daemon must not run. */
  constructor(daemon: TestDaemon, folder: string) {
    this.#folder = folder;
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k,mode=755', 'vmsecretd-test', folder]);
    daemon.beforeRemoval.push(() => execFileSync('umount', ['--lazy', folder]));
  }

  fill(): void {
    try {
      writeFileSync(this.#ballast, Buffer.alloc(1024 * 1024));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  free(): void {
    rmSync(this.#ballast);
  }

  get #ballast(): string {
    return join(this.#folder, 'ballast');
  }
}

/** The daemon with one of its folders on a disk of its own. */
async function startOnSmallDisk({ daemon }: Rig, folder: string): Promise<SmallDisk> {
  await daemon.stop();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const disk = new SmallDisk(daemon, folder);
  await daemon.restart();
  return disk;
}

daemonTest('a full runtime directory starts nothing and loses nothing', options, async (t, rig) => {
  const { daemon } = rig;
  const disk = await startOnSmallDisk(rig, daemon.runtime);
  for (const name of ['kept', 'web']) await defineVm(STAND_IN, rig, name);
  const { pid } = await daemon.act('kept', 'start');
  disk.fill();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    t.match(await daemon.call('POST', '/v1/vms/web/start'), {
      status: 409,
      json: { code: 'resource_conflict', detail: /records\/web\.starting cannot be used: no space is left/ },
    });
  }
  t.match(await daemon.show('web'), { state: 'failed', pid: null, problem: { code: 'resource_conflict' } });
  t.strictSame(daemon.vmms(), [pid], 'no VMM without a record');
  t.strictSame(readdirSync(join(daemon.runtime, 'records')), ['kept.json'], 'and no half record');
  t.match(await daemon.act('kept', 'pause'), { state: 'paused' }, 'what runs goes on');
  const unwritten = { code: 'resource_conflict', detail: /VM kept .*records\/kept\.json/ };
  await daemon.untilVm('kept', 'says that it is not recorded', ({ problem }) => problem !== null);
  t.match(await daemon.show('kept'), { state: 'paused', problem: unwritten });
  t.match(await daemon.call('GET', '/v1/health'), { json: { status: 'degraded', problems: [unwritten] } });
  await daemon.kill9();
  await daemon.restart();
  t.match(await daemon.show('kept'), { pid }, 'the next daemon takes over what runs');
  disk.free();
  await daemon.untilVm('kept', 'is recorded again', ({ problem }) => problem === null);
  t.match((await daemon.call('GET', '/v1/health')).json, { status: 'ok', problems: [] });
  t.match(await daemon.act('kept', 'stop'), { state: 'stopped' });
  t.match(await daemon.act('web', 'start'), { state: 'running', problem: null });
});

daemonTest('a full state directory refuses a PUT and keeps what there was', options, async (t, rig) => {
  const { daemon } = rig;
  const disk = await startOnSmallDisk(rig, daemon.state);
  const definition = await defineVm(STAND_IN, rig, 'web');
  disk.fill();
  const oemStrings = ['x'.repeat(8_192)];
  for (const name of ['web', 'new']) {
    t.match(await daemon.call('PUT', `/v1/vms/${name}`, { ...definition, oemStrings }), {
      status: 409,
      json: { code: 'resource_conflict', detail: new RegExp(`vms/${name}\\.json .*no space is left`) },
    });
  }
  t.match(await daemon.call('GET', '/v1/vms/new'), { status: 404 });
  await daemon.kill9();
  await daemon.restart();
  t.strictSame((await daemon.call('GET', '/v1/vms/web/definition')).json, definition);
  t.match(await daemon.act('web', 'start'), { state: 'running' });
  disk.free();
  await daemon.define('web', { ...definition, oemStrings });
});

/** Whoever opens a file from now on finds it so; what a VMM has open for writing stays. @returns what ends it */
function makeReadOnly(daemon: TestDaemon, folder: string): () => void {
  execFileSync('mount', ['--bind', folder, folder]);
  let isMounted = true;
  const end = () => {
    if (isMounted) execFileSync('umount', ['--lazy', folder]);
    isMounted = false;
  };
  daemon.beforeRemoval.push(end);
  execFileSync('mount', ['-o', 'remount,bind,ro', folder]);
  return end;
}

daemonTest('a read-only runtime directory starts nothing and loses nothing', options, async (t, rig) => {
  const { daemon } = rig;
  for (const name of ['kept', 'ended', 'web']) await defineVm(STAND_IN, rig, name);
  const { pid } = await daemon.act('kept', 'start');
  await daemon.act('ended', 'start');
  const makeWritable = makeReadOnly(daemon, daemon.runtime);
  t.match(await daemon.call('POST', '/v1/vms/web/start'), {
    status: 409,
    json: { code: 'resource_conflict', detail: /vms\/web.* cannot be used: its file system is read-only/ },
  });
  t.match(await daemon.act('ended', 'stop'), { state: 'stopped' }, 'what runs can be stopped');
  t.match(await daemon.show('kept'), { state: 'running', pid });
  await daemon.kill9();
  const refused = /exited with 1: vmsecretd: .* cannot be used: its file system is read-only.*\(EROFS\)\n$/;
  await t.rejects(daemon.restart(), { message: refused }, 'a daemon says why it does not start');
  makeWritable();
  await daemon.restart();
  t.match(await daemon.show('kept'), { state: 'running', pid });
  t.match(await daemon.show('ended'), { state: 'stopped' });
  t.notOk(existsSync(join(daemon.runtime, 'records', 'ended.json')));
  t.match(await daemon.act('web', 'start'), { state: 'running' });
});

const hangs = { ...options, skip: options.skip || whyNoAutomount() };

daemonTest(
  'a secret on a file system that hangs ends its start in time, and no other',
  hangs,
  async (t, rig) => {
    const { daemon } = rig;
    const remote = join(socketFolder(t), 'remote');
    await automount(t, remote, 'exec sleep 300');
    const credentials = { KEY: { file: join(remote, 'key') } };
    await defineVm(STAND_IN, rig, 'far', { more: { credentials, startTimeoutSeconds: 2 } });
    await defineVm(STAND_IN, rig, 'near');
    const far = daemon.call('POST', '/v1/vms/far/start');
    t.match(await daemon.call('GET', '/v1/health'), { status: 200 }, 'the daemon answers meanwhile');
    t.match(await far, { status: 504, json: { code: 'vmm_timeout', detail: /startTimeoutSeconds \(2 s\)/ } });
    t.match(await daemon.act('near', 'start'), { state: 'running' });
  },
);

daemonTest(
  'definitions, disks and folders on file systems that hang hold neither the daemon nor its next start',
  hangs,
  async (t, rig) => {
    const { daemon } = rig;
    const remote = join(socketFolder(t), 'remote');
    await automount(t, remote, 'exec sleep 300');
    const { command, ...near } = await defineVm(STAND_IN, rig, 'near');
    const refused = async (differs: object) => {
      await daemon.define('far', { ...near, command, ...differs });
      return (await daemon.call('POST', '/v1/vms/far/start')).json;
    };
    symlinkSync(join(remote, 'linked.json'), join(daemon.definitions, 'linked.json'));
    t.match((await daemon.call('POST', '/v1/reload')).json, {
      problems: [
        { message: /^VM linked: .*linked\.json does not answer: the file system that it is on hangs/ },
      ],
    });
    t.match(await refused({ command: [...command, '--disk', `path=${remote}/disk.img`] }), {
      code: 'resource_conflict',
      detail: /^VM far: disk image .*disk\.img does not answer: the file system that it is on hangs/,
    });
    t.match(await refused({ workingDirectory: join(remote, 'far') }), {
      code: 'resource_conflict',
      detail: /^VM far: the working directory .*far does not answer/,
    });
    await daemon.stop();
    await daemon.restart();
    t.match(await daemon.act('near', 'start'), { state: 'running' });
  },
);
