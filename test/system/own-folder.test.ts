// What somebody else has made where the daemon, as root, wants a folder or a socket of its own.

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createListener } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { makePrivateFolder, removeAnything, takeOwnFolder } from '../../src/system/own-folder.js';
import { listenOn } from '../../src/system/sockets.js';
import { whyNotRoot } from '../setup/programs.js';
import { socketFolder } from '../setup/socket-folder.js';

const NOBODY = 65_534;
const VMM_USER = 4_711;
const skip = whyNotRoot();

/** With `precious`, a folder of root's to where links lead. */
function rootsFolder(t: Test): string {
  const folder = socketFolder(t);
  mkdirSync(join(folder, 'precious'), { mode: 0o750 });
  writeFileSync(join(folder, 'precious', 'file'), 'kept', { mode: 0o640 });
  return folder;
}

function isUntouched(t: Test, folder: string, what: string): void {
  const precious = join(folder, 'precious');
  const facts = [precious, join(precious, 'file')].map(path => {
    const { uid, gid, mode } = lstatSync(path);
    return `${uid}:${gid} ${(mode & 0o777).toString(8)}`;
  });
  t.strictSame(facts, ['0:0 750', '0:0 640'], `${what}: nothing is given away or opened up`);
  t.strictSame(readdirSync(precious), ['file'], `${what}: nothing is made there or removed`);
  t.equal(readFileSync(join(precious, 'file'), 'utf8'), 'kept', what);
}

const FORMS: Readonly<Record<string, (path: string, owner: number) => void>> = {
  'a folder': (path, owner) => {
    mkdirSync(path, { mode: 0o755 });
    chownSync(path, owner, owner);
  },
  'a folder with something in it': (path, owner) => {
    mkdirSync(join(path, 'below'), { recursive: true, mode: 0o755 });
    symlinkSync('../../precious', join(path, 'below', 'link'));
    chownSync(path, owner, owner);
  },
  'a link to a folder': (path, owner) => {
    symlinkSync('precious', path);
    lchownSync(path, owner, owner);
  },
  'a link to a file': (path, owner) => {
    symlinkSync('precious/file', path);
    lchownSync(path, owner, owner);
  },
  'a dead link': (path, owner) => {
    symlinkSync('precious/new', path);
    lchownSync(path, owner, owner);
  },
  'a file': (path, owner) => {
    writeFileSync(path, '');
    chownSync(path, owner, owner);
  },
  'a FIFO': (path, owner) => {
    execFileSync('mkfifo', [path]);
    chownSync(path, owner, owner);
  },
};

test('a runtime folder that somebody else has made is refused, and nothing in its place', {
  skip,
}, async t => {
  for (const [form, make] of Object.entries(FORMS)) {
    const folder = rootsFolder(t);
    make(join(folder, 'run'), NOBODY);
    // A link in a folder of root's is root's doing; where it leads must be a folder that only root writes.
    if (form === 'a link to a folder') continue;
    const before = lstatSync(join(folder, 'run'));
    await t.rejects(
      takeOwnFolder(join(folder, 'run'), 0o755),
      {
        code: 'resource_conflict',
        message: /\/run is refused: .+; remove it, or use another runtime directory$/,
      },
      form,
    );
    const { uid, mode } = lstatSync(join(folder, 'run'));
    t.strictSame({ uid, mode }, { uid: before.uid, mode: before.mode }, `${form} stays as it was`);
    isUntouched(t, folder, form);
  }
});

test('a runtime folder where others write is refused, and so is one on whose way they do', {
  skip,
}, async t => {
  const modes: [name: string, mode: number][] = [
    ['writable by its group', 0o775],
    ['writable by all', 0o777],
    ['writable by all, and sticky', 0o1777],
  ];
  for (const [name, mode] of modes) {
    const folder = rootsFolder(t);
    mkdirSync(join(folder, 'run'));
    chmodSync(join(folder, 'run'), mode);
    await t.rejects(takeOwnFolder(join(folder, 'run'), 0o755), { code: 'resource_conflict' }, name);
  }
  const folder = rootsFolder(t);
  FORMS['a folder']?.(join(folder, 'theirs'), NOBODY);
  await t.rejects(
    takeOwnFolder(join(folder, 'theirs', 'run'), 0o755),
    { code: 'resource_conflict', message: /somebody other than root can replace/ },
    'below a folder of somebody else',
  );
  mkdirSync(join(folder, 'all'));
  chmodSync(join(folder, 'all'), 0o1777);
  symlinkSync('../precious', join(folder, 'all', 'link'));
  lchownSync(join(folder, 'all', 'link'), NOBODY, NOBODY);
  await t.rejects(
    takeOwnFolder(join(folder, 'all', 'link', 'a', 'run'), 0o755),
    { code: 'resource_conflict', message: /somebody other than root can replace the link/ },
    'behind a link of somebody else',
  );
  isUntouched(t, folder, 'a link of somebody else on the way');
});

test('what somebody else has made inside of the runtime folder is refused', { skip }, async t => {
  for (const name of ['vms', 'logs', 'records', 'digest-key', 'vmsecretd.sock', 'vmsecretd.sock.new']) {
    for (const [form, make] of Object.entries(FORMS)) {
      const folder = rootsFolder(t);
      mkdirSync(join(folder, 'run'), { mode: 0o755 });
      symlinkSync('../precious', join(folder, 'run', 'precious'));
      make(join(folder, 'run', name), NOBODY);
      await t.rejects(
        takeOwnFolder(join(folder, 'run'), 0o755),
        {
          code: 'resource_conflict',
          message: `${join(folder, 'run', name)} is refused: it belongs to the user ${NOBODY}; remove it, or use another runtime directory`,
        },
        `${name}: ${form}`,
      );
      isUntouched(t, folder, `${name}: ${form}`);
    }
    const folder = rootsFolder(t);
    mkdirSync(join(folder, 'run', name), { recursive: true });
    chmodSync(join(folder, 'run', name), 0o775);
    await t.rejects(takeOwnFolder(join(folder, 'run'), 0o755), { message: /others can write to it/ }, name);
  }
});

test('takes its own runtime folder again, by a link of root’s, too, and makes one', { skip }, async t => {
  const folder = rootsFolder(t);
  await takeOwnFolder(join(folder, 'run'), 0o755);
  t.equal(lstatSync(join(folder, 'run')).mode & 0o777, 0o755);
  for (const name of ['vms', 'logs']) mkdirSync(join(folder, 'run', name), { mode: 0o711 });
  symlinkSync('run', join(folder, 'var-run'));
  await takeOwnFolder(join(folder, 'run'), 0o755);
  await takeOwnFolder(join(folder, 'var-run'), 0o755);
});

test('takes what systemd has made in it: sockets of anybody, and what is root’s for a daemon that is not', {
  skip,
}, async t => {
  const folder = rootsFolder(t);
  chmodSync(folder, 0o755);
  await takeOwnFolder(join(folder, 'run'), 0o755);
  const socket = createListener().listen(join(folder, 'run', 'admin.sock'));
  t.teardown(() => socket.close());
  chmodSync(join(folder, 'run', 'admin.sock'), 0o660);
  chownSync(join(folder, 'run', 'admin.sock'), NOBODY, NOBODY);
  await takeOwnFolder(join(folder, 'run'), 0o755);
  mkdirSync(join(folder, 'run', 'vms'));
  chownSync(join(folder, 'run'), VMM_USER, VMM_USER);
  process.seteuid?.(VMM_USER);
  t.teardown(() => process.seteuid?.(0));
  await takeOwnFolder(join(folder, 'run'), 0o755);
});

test('the folder of a VM is made anew where it is somebody else’s, or no folder', { skip }, async t => {
  for (const owner of [undefined, { uid: VMM_USER, gid: VMM_USER }]) {
    for (const [form, make] of Object.entries(FORMS)) {
      const folder = rootsFolder(t);
      make(join(folder, 'web'), NOBODY);
      await makePrivateFolder(join(folder, 'web'), owner);
      const { uid, mode } = lstatSync(join(folder, 'web'));
      t.strictSame([uid, mode & 0o170777], [owner?.uid ?? 0, 0o040700], form);
      t.strictSame(readdirSync(join(folder, 'web')), [], `${form}: nothing of theirs is left`);
      isUntouched(t, folder, form);
      writeFileSync(join(folder, 'web', 'disk'), '');
      chmodSync(join(folder, 'web'), 0o777);
      await makePrivateFolder(join(folder, 'web'), owner);
      t.equal(lstatSync(join(folder, 'web')).mode & 0o777, 0o700);
      t.ok(existsSync(join(folder, 'web', 'disk')), 'what the VM keeps in it stays');
    }
  }
});

test('whatever a VMM left where its socket belongs is removed', { skip }, async t => {
  for (const [form, make] of Object.entries(FORMS)) {
    const folder = rootsFolder(t);
    make(join(folder, 'api.sock'), VMM_USER);
    await removeAnything(join(folder, 'api.sock'));
    t.strictSame(readdirSync(folder), ['precious'], form);
    isUntouched(t, folder, form);
  }
});

test('whatever stands where a socket belongs is replaced, but for a folder', { skip }, async t => {
  for (const name of ['admin.sock', 'admin.sock.new']) {
    for (const [form, make] of Object.entries(FORMS)) {
      const folder = rootsFolder(t);
      make(join(folder, name), NOBODY);
      const server = createServer();
      const listening = listenOn(server, { path: join(folder, 'admin.sock'), mode: 0o600 });
      if (form.startsWith('a folder')) {
        await t.rejects(listening, {
          code: 'resource_conflict',
          message: `${join(folder, name)} is a folder, and a socket of vmsecretd belongs there; remove it`,
        });
      } else {
        const close = await listening;
        t.match(lstatSync(join(folder, 'admin.sock')), { uid: 0, mode: 0o140600 }, `${name}: ${form}`);
        await close();
        server.close();
      }
      isUntouched(t, folder, `${name}: ${form}`);
    }
  }
});

test('a link to a socket that lives elsewhere is replaced; a daemon that listens is not', {
  skip,
}, async t => {
  const folder = rootsFolder(t);
  const other = createListener().listen(join(folder, 'other.sock'));
  t.teardown(() => other.close());
  symlinkSync('other.sock', join(folder, 'admin.sock'));
  const server = createServer();
  t.teardown(() => server.close());
  await listenOn(server, { path: join(folder, 'admin.sock'), mode: 0o600 });
  t.ok(lstatSync(join(folder, 'other.sock')).isSocket());
  await t.rejects(listenOn(createServer(), { path: join(folder, 'admin.sock'), mode: 0o600 }), {
    code: 'resource_conflict',
    message: /^Another daemon listens on /,
  });
});

test('no socket is made where others could exchange it', { skip }, async t => {
  const folder = rootsFolder(t);
  mkdirSync(join(folder, 'all'));
  chmodSync(join(folder, 'all'), 0o1777);
  await t.rejects(listenOn(createServer(), { path: join(folder, 'all', 'metrics.sock'), mode: 0o660 }), {
    code: 'resource_conflict',
    message: /metrics\.sock is refused as the path of a socket: somebody other than root can write to it/,
  });
});
