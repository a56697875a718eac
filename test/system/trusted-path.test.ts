import {
  chmodSync,
  chownSync,
  closeSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { openTrustedPlace, type Trust } from '../../src/system/trusted-path.js';
import { whyNotRoot } from '../setup/programs.js';
import { socketFolder } from '../setup/socket-folder.js';
import { automount, whyNoAutomount } from './automount.js';

const NOBODY = 65_534;
const skip = whyNotRoot();

function makeFolder(path: string, mode: number, owner = 0): void {
  mkdirSync(path);
  chmodSync(path, mode);
  chownSync(path, owner, owner);
}

function read(path: string, trust: Trust): string {
  const place = openTrustedPlace(path, trust);
  try {
    return readFileSync(`/proc/self/fd/${place}`, 'utf8');
  } finally {
    closeSync(place);
  }
}

test('follows the links of root, absolute, relative and upwards', { skip }, async t => {
  const folder = socketFolder(t);
  makeFolder(join(folder, 'generation-1'), 0o751);
  writeFileSync(join(folder, 'generation-1', 'key'), 'value', { mode: 0o600 });
  symlinkSync('generation-1', join(folder, 'current'));
  symlinkSync(join(folder, 'current', 'key'), join(folder, 'absolute'));
  symlinkSync('../current/./key', join(folder, 'generation-1', 'upwards'));
  for (const path of ['current/key', 'absolute', 'current/upwards', 'current//../absolute'])
    for (const trust of ['links', 'root'] as const) t.equal(read(join(folder, path), trust), 'value', path);
});

test('a file that others than root can write is no file of root', { skip }, async t => {
  const folder = socketFolder(t);
  const files: [name: string, owner: number, mode: number, mend: (path: string) => string][] = [
    ['owned', NOBODY, 0o400, path => `chown root ${path}`],
    ['group-writable', 0, 0o775, path => `chmod g-w ${path}`],
    ['everybody-writable', 0, 0o602, path => `chmod o-w ${path}`],
    ['owned and writable', NOBODY, 0o666, path => `chown root ${path} && chmod go-w ${path}`],
  ];
  for (const [name, owner, mode, mend] of files) {
    const path = join(folder, name);
    writeFileSync(path, 'value');
    chmodSync(path, mode);
    chownSync(path, owner, owner);
    t.equal(read(path, 'links'), 'value', `${name}, as a source`);
    t.throws(() => read(path, 'root'), {
      message: `somebody other than root can write to it; ${mend(path)}`,
    });
  }
});

test('refuses what somebody other than root can replace', { skip }, async t => {
  const folder = socketFolder(t);
  writeFileSync(join(folder, 'shadow'), 'value', { mode: 0o600 });
  const elsewhere = () => 'put it where root alone writes';
  const folders: [
    name: string,
    owner: number,
    mode: number,
    linkOwner: number,
    mend?: (path: string) => string,
  ][] = [
    ['theirs', NOBODY, 0o755, 0, path => `chown root ${path}`],
    ['group-writable', 0, 0o775, 0, path => `chmod g-w ${path}`],
    ['everybody-writable', 0, 0o777, 0, path => `chmod go-w ${path}`],
    ['sticky, the link theirs', 0, 0o1777, NOBODY, elsewhere],
    ['sticky, but theirs', NOBODY, 0o1777, 0, path => `chown root ${path} && chmod go-w ${path}`],
    ['sticky, the link of root', 0, 0o1777, 0],
  ];
  for (const [name, owner, mode, linkOwner, mend] of folders) {
    const place = join(folder, name);
    makeFolder(place, mode, owner);
    const link = join(place, 'link');
    symlinkSync('../shadow', link);
    lchownSync(link, linkOwner, linkOwner);
    writeFileSync(join(place, 'file'), 'plain', { mode: 0o600 });
    const message = `somebody other than root can replace the link ${link}; ${mend?.(place)}`;
    for (const trust of ['links', 'root'] as const) {
      if (mend === undefined) t.equal(read(link, trust), 'value', name);
      else t.throws(() => read(link, trust), { message }, `${name}, ${trust}`);
    }
    t.equal(read(join(place, 'file'), 'links'), 'plain', `${name}: no link, as a source`);
    if (mend !== undefined && linkOwner === 0)
      t.throws(() => read(join(place, 'file'), 'root'), /somebody other than root can replace/, name);
  }
});

test('the folder of an automount is the one that gets mounted', { skip: whyNoAutomount() }, async t => {
  const folder = socketFolder(t);
  writeFileSync(join(folder, 'shadow'), 'value', { mode: 0o600 });
  const fill = `ln -s ${folder}/shadow "$1/link"; echo plain > "$1/file"`;
  for (const [name, mode] of [
    ['of root', '0755'],
    ['of all', '0777'],
  ] as const) {
    const place = join(folder, name);
    await automount(t, place, `mount -t tmpfs -o mode=${mode} tmpfs "$1"; ${fill}`);
    const link = join(place, 'link');
    if (mode === '0755') t.equal(read(link, 'links'), 'value', 'going in mounts it');
    else t.throws(() => read(link, 'links'), { message: /can replace the link .*; chmod go-w / }, name);
    t.equal(read(join(place, 'file'), 'links'), 'plain\n', name);
  }
});

test('a loop, a dead link and a file as a folder are the errors of the system', { skip }, async t => {
  const folder = socketFolder(t);
  symlinkSync('loop', join(folder, 'loop'));
  symlinkSync('absent', join(folder, 'dead'));
  writeFileSync(join(folder, 'file'), '');
  t.throws(() => read(join(folder, 'loop'), 'links'), { code: 'ELOOP' });
  t.throws(() => read(join(folder, 'dead'), 'links'), { code: 'ENOENT' });
  t.throws(() => read(join(folder, 'file', 'x'), 'links'), { code: 'ENOTDIR' });
});
