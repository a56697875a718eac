import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import t, { type Test } from 'tap';
import { digestDefinition } from '../../src/definition/definition-digest.js';
import { Deliverers } from '../../src/delivery/deliverers.js';
import type { PreparedCredential } from '../../src/delivery/protocol.js';
import { PathWatch } from '../../src/system/path-watch.js';
import { PatientLooks } from '../../src/system/patient-looks.js';
import type { Vm } from '../../src/vm/vm.js';
import { findReasons, type OutdatedTools, OutdatedWatch } from '../../src/watch/outdated.js';
import { Changes } from '../setup/changes.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeVm, runningVm } from '../vm/vm-for-test.js';

/** The issue grants two seconds; a machine that is busy with other tests forks deliverers slowly. */
const SHOWN_WITHIN_MS = 20_000;

const key = await generateX25519Identity();
const encrypter = new Encrypter();
encrypter.addRecipient(await identityToRecipient(key));
const deliverers = new Deliverers({
  path: process.env.PATH ?? '',
  digestKeyPath: join(t.testdir({}), 'digest-key'),
});
deliverers.warmUp();
t.teardown(() => deliverers.close());

const digest: OutdatedTools['digest'] = sources => deliverers.digest(sources, AbortSignal.timeout(120_000));
/** For tests of definitions alone: each look of the other takes a process. */
const digestNothing: OutdatedTools['digest'] = async sources => sources.map(() => null);

/** A VM with two secrets that are read as a start reads them; only the VMM is none. */
async function runVm(t: Test, json: Record<string, unknown> = {}, tools: Partial<OutdatedTools> = {}) {
  const folder = socketFolder(t);
  const at = (...names: string[]) => join(folder, ...names);
  mkdirSync(at('work'));
  writeFileSync(at('identity'), `${key}\n`, { mode: 0o600 });
  writeFileSync(at('API_KEY.age'), await encrypter.encrypt('hello'));
  writeFileSync(at('password'), 'plain\n');
  const credentials = {
    API_KEY: { age: at('API_KEY.age') },
    PASSWORD: { file: at('password'), trim: 'newline' },
    CLUSTER: { text: 'blue' },
  };
  const define = (changed: Record<string, unknown> = {}) =>
    defineVm('my-app', { credentials, workingDirectory: at('work'), ...json, ...changed }, folder);
  const events = makeEvents();
  const vm = makeVm(folder, define(), events);
  const shown = new Changes<unknown>();
  events.subscribe(event => event.type === 'outdated' && shown.push(event.outdated));
  const calls = new Changes<'restart' | 'refresh' | 'reload'>();
  const looks = new PatientLooks({ onSilence: path => t.fail(`${path} does not answer`) });
  const pathWatch = new PathWatch({ looks, onProblem: folder => t.fail(`cannot watch ${folder}`) });
  const watch = new OutdatedWatch({
    looks,
    events,
    findVm: () => vm,
    pathWatch,
    digest,
    isStale: async () => existsSync(at('my-app.json')),
    reload: async () => calls.push('reload'),
    restart: async () => calls.push('restart'),
    refresh: async () => calls.push('refresh'),
    onProblem: error => t.fail(String(error)),
    ...tools,
  });
  t.teardown(() => watch.close());
  t.teardown(() => pathWatch.close());
  const shows = async (...reasons: string[]) => {
    const wanted = JSON.stringify(reasons);
    await shown.until(wanted, seen => JSON.stringify(seen.at(-1)) === wanted, SHOWN_WITHIN_MS);
    t.same(vm.toJSON().outdated, reasons);
  };
  const start = async () => vm.booted({ ...runningVm(vm), credentials: await prepare(vm, at('identity')) });
  vm.transition('start');
  await start();
  return { vm, at, define, events, shows, shown, calls, pathWatch, start };
}

async function prepare(vm: Vm, identity: string): Promise<readonly PreparedCredential[]> {
  const delivery = await deliverers.prepare(
    {
      vm: vm.name,
      credentials: { ...vm.definition.credentials },
      identities: [identity],
      passphraseFiles: [],
      packaging: {
        staticOemStrings: [],
        packing: { kind: 'api', vmConfigText: '{}', limitBytes: 51_200 },
      },
      wantsReceipt: false,
    },
    AbortSignal.timeout(120_000),
  );
  delivery.end();
  return delivery.credentials;
}

t.test('an age file that changed shows, and a change back clears it', async t => {
  const { at, shows } = await runVm(t);
  const old = readFileSync(at('API_KEY.age'));
  // The same secret, encrypted again: whether it is the same only opening it would tell.
  writeFileSync(at('new'), await encrypter.encrypt('hello'));
  renameSync(at('new'), at('API_KEY.age'));
  await shows('credential API_KEY');
  writeFileSync(at('API_KEY.age'), old);
  await shows();
});

t.test('a plain file shows by what the credential would be, and a change back clears it', async t => {
  const { at, shows } = await runVm(t);
  writeFileSync(at('password'), 'other');
  await shows('credential PASSWORD');
  // The ending is trimmed, so this is the old value.
  writeFileSync(at('password'), 'plain');
  await shows();
});

t.test('a definition that changed shows at its event; policy alone does not count', async t => {
  const { vm, define, shows, shown } = await runVm(t);
  const change = (json: Record<string, unknown>) => vm.redefine(define(json));
  change({ oemStrings: ['a'] });
  await shows('definition');
  change({ restart: 'always', autostart: true, stopTimeoutSeconds: 3 });
  await shows();
  change({ credentials: { CLUSTER: { text: 'green' } } });
  await shows('definition');
  t.same(shown.seen, [['definition'], [], ['definition']]);
});

t.test('a change that comes while the last one is being shown is not lost, at whatever moment', async t => {
  const { vm, events, define, shows, shown } = await runVm(t, {}, { digest: digestNothing });
  const change = (json: Record<string, unknown>) => vm.redefine(define(json));
  for (let turns = 0; turns < 30; turns += 1) {
    // Right behind the event that shows the first change, by so many turns of the microtask queue.
    const unsubscribe = events.subscribe(({ type }) => {
      if (type !== 'outdated') return;
      unsubscribe();
      let moment = Promise.resolve();
      for (let turn = 0; turn < turns; turn += 1) moment = moment.then();
      void moment.then(() => change({}));
    });
    shown.forget();
    change({ oemStrings: [`a${turns}`] });
    await shows();
  }
});

t.test('a changed definition file of a live VM makes the definitions be read again', async t => {
  const { vm, at, calls } = await runVm(t);
  writeFileSync(at('my-app.json'), '{}');
  await calls.until('a reload', seen => seen.includes('reload'), SHOWN_WITHIN_MS);
  t.equal(vm.outdated.length, 0);
});

t.test('microvm.nix links that differ show, and agree again', async t => {
  const { at, shows } = await runVm(t);
  symlinkSync('/nix/store/one', at('work', 'booted'));
  symlinkSync('/nix/store/two', at('work', 'current'));
  await shows('current');
  symlinkSync('/nix/store/one', at('work', 'current.new'));
  renameSync(at('work', 'current.new'), at('work', 'current'));
  await shows();
});

t.test('a removed source leaves the last verdict, until it is there again', async t => {
  const { at, vm, shows, shown } = await runVm(t);
  writeFileSync(at('password'), 'other');
  await shows('credential PASSWORD');
  rmSync(at('password'));
  rmSync(at('API_KEY.age'));
  symlinkSync('/nix/store/one', at('work', 'booted'));
  symlinkSync('/nix/store/two', at('work', 'current'));
  await shows('credential PASSWORD', 'current');
  shown.forget();
  writeFileSync(at('password'), 'plain\n');
  await shows('current');
  t.same(vm.outdated, ['current']);
});

t.test('a VM that ends shows nothing and watches nothing', async t => {
  const { at, vm, shows, pathWatch } = await runVm(t);
  writeFileSync(at('password'), 'other');
  await shows('credential PASSWORD');
  t.ok(pathWatch.folderCount > 0);
  vm.handleVmmExit({ status: 0, signal: null });
  vm.transition('ended');
  t.same(vm.outdated, []);
  t.equal(pathWatch.folderCount, 0);
});

t.test('an adopted VM is compared with what its record says', async t => {
  const { at, vm, shows } = await runVm(t);
  const { running } = vm;
  vm.handleVmmExit({ status: 0, signal: null });
  vm.transition('ended');
  writeFileSync(at('password'), 'changed while no daemon ran');
  if (running !== undefined)
    vm.adopted({ ...running }, { startedAt: null, isPaused: false, ready: true, receipt: null });
  await shows('credential PASSWORD');
});

t.test('onChange "restart" restarts once for a change, however often it is looked at', async t => {
  const { at, vm, events, calls, shows, start } = await runVm(t, { onChange: 'restart' });
  symlinkSync('/nix/store/one', at('work', 'booted'));
  symlinkSync('/nix/store/two', at('work', 'current'));
  await shows('current');
  t.same(calls.seen, ['restart']);
  // The links differ after the restart as well.
  vm.handleVmmExit({ status: 0, signal: null });
  vm.transition('ended');
  vm.transition('start');
  await start();
  await shows('current');
  events.publish('definition', vm.name);
  t.same(calls.seen, ['restart']);
  writeFileSync(at('password'), 'other');
  await calls.until('a second restart', seen => seen.length === 2, SHOWN_WITHIN_MS);
});

t.test('what cannot be read now keeps its verdict, what is declared otherwise has none', t => {
  const definition = defineVm('my-app', {});
  const credentials: PreparedCredential[] = ['A', 'B', 'C', 'D'].map(name => ({
    name,
    source: 'file',
    path: `/${name}`,
    sizeBytes: 1,
    digest: 'old',
  }));
  const digests = new Map([
    ['A', null],
    ['B', null],
    ['C', 'new'],
  ]);
  const running = { credentials, definitionDigest: digestDefinition(definition) };
  const links = { current: '/one', booted: undefined };
  t.same(findReasons({ definition, running, digests, links, before: ['credential B'] }), [
    'credential B',
    'credential C',
  ]);
  t.end();
});
