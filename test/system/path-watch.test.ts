import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PathWatch, type WatchedPath } from '../../src/system/path-watch.js';
import { PatientLooks } from '../../src/system/patient-looks.js';
import { Changes } from '../setup/changes.js';

function watchIn(t: Test) {
  const folder = t.testdir({});
  const problems: string[] = [];
  const looks = new PatientLooks({ onSilence: path => t.fail(`${path} does not answer`) });
  const watch = new PathWatch({ looks, onProblem: path => problems.push(path), debounceMs: 10 });
  t.teardown(() => watch.close());
  const changes = new Changes<string>();
  const follow = (path: WatchedPath, name = 'change') => watch.watch([path], () => changes.push(name));
  const told = async (what: string) => {
    await changes.until(what, seen => seen.length > 0);
    changes.forget();
  };
  return { at: (...names: string[]) => join(folder, ...names), watch, changes, follow, told, problems };
}

/** As agenix does: a new generation beside the old one, and the link to it renamed over the last. */
function swap(link: string, target: string): void {
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
}

t.test('tells a file that is written in place, replaced, removed and made again', async t => {
  const { at, follow, told } = watchIn(t);
  writeFileSync(at('secret'), 'a');
  await follow(at('secret'));
  writeFileSync(at('secret'), 'b');
  await told('written in place');
  writeFileSync(at('secret.new'), 'c');
  renameSync(at('secret.new'), at('secret'));
  await told('replaced');
  rmSync(at('secret'));
  await told('removed');
  writeFileSync(at('secret'), 'd');
  await told('made again');
});

t.test('tells the swap of a link to a folder on the way, and changes behind the new one', async t => {
  const { at, follow, told } = watchIn(t);
  for (const generation of ['1', '2']) {
    mkdirSync(at('agenix.d', generation), { recursive: true });
    writeFileSync(at('agenix.d', generation, 'key'), generation);
  }
  symlinkSync('agenix.d/1', at('agenix'));
  await follow(at('agenix', 'key'));
  swap(at('agenix'), at('agenix.d', '2'));
  await told('swapped');
  writeFileSync(at('agenix.d', '2', 'key'), 'again');
  await told('written in the new generation');
});

t.test('tells of a file whose folders come later, go, and come back', async t => {
  const { at, follow, told } = watchIn(t);
  await follow(at('a', 'b', 'secret'));
  mkdirSync(at('a', 'b'), { recursive: true });
  await told('folders made');
  writeFileSync(at('a', 'b', 'secret'), '1');
  await told('file made');
  for (const round of ['2', '3', '4']) {
    rmSync(at('a'), { recursive: true });
    await told('folders removed');
    mkdirSync(at('a', 'b'), { recursive: true });
    await told('folders made again');
    writeFileSync(at('a', 'b', 'secret'), round);
    await told('file made again');
  }
  renameSync(at('a'), at('z'));
  await told('a folder renamed away');
});

t.test('survives a folder that is removed and made again at once', async t => {
  const { at, follow, told, changes } = watchIn(t);
  mkdirSync(at('a'));
  await follow(at('a', 'secret'));
  for (let round = 0; round < 20; round += 1) {
    rmSync(at('a'), { recursive: true });
    mkdirSync(at('a'));
  }
  await told('the folder was made again');
  changes.forget();
  writeFileSync(at('a', 'secret'), 'x');
  await told('file made');
});

t.test('follows a chain of links, and a link that leads to itself ends nowhere', async t => {
  const { at, follow, told } = watchIn(t);
  writeFileSync(at('c'), '');
  symlinkSync('b', at('a'));
  symlinkSync('./c', at('b'));
  symlinkSync('loop', at('loop'));
  await follow(at('a'));
  await follow(at('loop'));
  writeFileSync(at('c'), '1');
  await told('the end of the chain');
  swap(at('loop'), 'c');
  await told('the loop is mended');
});

t.test('of a link alone only its own target counts', async t => {
  const { at, follow, told, changes } = watchIn(t);
  mkdirSync(at('one'));
  writeFileSync(at('one', 'file'), '');
  symlinkSync('one', at('current'));
  await follow({ link: at('current') }, 'link');
  await follow(at('one', 'file'), 'file');
  writeFileSync(at('one', 'file'), 'changed');
  await changes.until('the file', seen => seen.includes('file'));
  t.notOk(changes.seen.includes('link'));
  changes.forget();
  swap(at('current'), 'two');
  await told('the link');
});

t.test('watches a folder once for everybody, and no longer than somebody asks', async t => {
  const { at, follow, watch } = watchIn(t);
  writeFileSync(at('x'), '');
  writeFileSync(at('y'), '');
  const endX = await follow(at('x'));
  const alone = watch.folderCount;
  const endY = await follow(at('y'));
  t.equal(watch.folderCount, alone);
  endX();
  t.equal(watch.folderCount, alone);
  endY();
  t.equal(watch.folderCount, 0);
});

t.test('says nothing of other files beside', async t => {
  const { at, follow, changes } = watchIn(t);
  writeFileSync(at('mine'), '');
  await follow(at('mine'), 'mine');
  await follow(at('other'), 'other');
  writeFileSync(at('other'), '1');
  await changes.until('the other', seen => seen.includes('other'));
  t.notOk(changes.seen.includes('mine'));
});

t.test('tells of every entry of a folder, of one that comes later too', async t => {
  const { at, follow, told } = watchIn(t);
  await follow({ folder: at('vms') });
  mkdirSync(at('vms'));
  await told('the folder is made');
  writeFileSync(at('vms', 'web.json'), '{}');
  await told('a file comes');
  writeFileSync(at('vms', 'web.json'), '{ }');
  await told('it changes');
  rmSync(at('vms', 'web.json'));
  await told('it goes');
});
