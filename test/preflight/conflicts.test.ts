import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import type { HostClaim, HostNeeds } from '../../src/hypervisor/host-needs.js';
import { HostClaims } from '../../src/preflight/conflicts.js';
import type { VmmSite } from '../../src/preflight/vmm-site.js';
import { PatientLooks } from '../../src/system/patient-looks.js';
import type { Vm } from '../../src/vm/vm.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeVm } from '../vm/vm-for-test.js';

const NOTHING: HostNeeds = { claims: [], files: [], sockets: [], outputs: [], needsKvm: false };

function makeLooks(t: Test): PatientLooks {
  return new PatientLooks({ onSilence: path => t.fail(`${path} does not answer`) });
}

function makeHost(t: Test) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vms = new Map<string, Vm>();
  const claims = new HostClaims({ events, looks: makeLooks(t), findVm: name => vms.get(name) });
  const start = (name: string) => {
    const vm = makeVm(folder, defineVm(name, {}), events);
    vms.set(name, vm);
    vm.transition('start');
    return vm;
  };
  const site = (vm: string, differs: Partial<VmmSite> = {}): VmmSite => ({
    vm,
    program: '/bin/true',
    workingDirectory: folder,
    ownFolder: join(folder, 'own'),
    user: undefined,
    userName: 'its user',
    userArgument: 'web',
    hasOurView: true,
    networkNamespace: null,
    isRoot: true,
    preparedBy: undefined,
    makesSockets: undefined,
    sandboxHint: '',
    access: async wanted => wanted.map(() => 'allowed'),
    hasInterface: async name => name === 'lo',
    ...differs,
  });
  return { folder, at: (...names: string[]) => join(folder, ...names), claims, start, site };
}

const own = (kind: HostClaim['kind'], value: string, shared = false): HostNeeds => ({
  ...NOTHING,
  claims: [{ kind, value, shared }],
});

/** Rejects with the first thing that stands in the way. */
async function checked(claims: HostClaims, needs: HostNeeds, site: VmmSite): Promise<void> {
  const { problems } = await claims.check(needs, site);
  if (problems[0] !== undefined) throw problems[0];
}

async function refuses(t: Test, work: Promise<unknown>, message: RegExp) {
  const error = await work.then(
    () => undefined,
    (error: VmsecretdError) => error,
  );
  t.type(error, VmsecretdError);
  t.equal(error?.code, 'resource_conflict');
  t.match(error?.message, message);
}

t.test('refuses what another VM has, names that VM, and grants it once that VM is down', async t => {
  const { claims, start, site } = makeHost(t);
  const kinds = [
    own('vsock CID', '3'),
    own('tap', 'vm-a'),
    own('MAC address', '02:00:00:00:00:01'),
    own('vsock socket', '/notify.vsock'),
    own('serial socket', '/serial.sock'),
  ];
  for (const needs of kinds) {
    const [kind, value] = [needs.claims[0]?.kind, needs.claims[0]?.value];
    const first = start('first');
    await claims.claim(needs, site('first', { preparedBy: 'preStart' }));
    start('second');
    const refusal = new RegExp(`VM second: VM first has the ${kind} ${value} already; .*stop VM first`);
    await refuses(t, claims.claim(needs, site('second')), refusal);
    await refuses(t, checked(claims, needs, site('second')), refusal);
    first.transition('ended');
    const second = start('second');
    await claims.claim(needs, site('second'));
    second.transition('ended');
  }
});

t.test('of two VMs that start at once one is refused', async t => {
  const { claims, start, site } = makeHost(t);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) start(name);
  const outcomes = await Promise.allSettled(
    names.map(name => claims.claim(own('vsock CID', '3'), site(name))),
  );
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
});

t.test('an image is one image by every path, and may be shared by those who only read it', async t => {
  const { claims, start, site, at } = makeHost(t);
  writeFileSync(at('disk.img'), '');
  mkdirSync(at('other'));
  symlinkSync(at('disk.img'), at('other', 'link.img'));
  start('reader');
  start('second-reader');
  start('writer');
  await claims.claim(own('disk image', 'disk.img', true), site('reader'));
  await claims.claim(own('disk image', at('other', 'link.img'), true), site('second-reader'));
  await refuses(
    t,
    claims.claim(own('disk image', 'link.img'), site('writer', { workingDirectory: at('other') })),
    /VM writer: VM reader has the disk image .*disk\.img already; give each its own image/,
  );
});

t.test('ports collide by protocol, number and address', async t => {
  const { claims, start, site } = makeHost(t);
  for (const name of ['a', 'b']) start(name);
  const port = await freePort();
  await claims.claim(own('port', `tcp 127.0.0.1:${port}`), site('a'));
  await checked(claims, own('port', `udp 127.0.0.1:${port}`), site('b'));
  await checked(claims, own('port', `tcp 127.0.0.2:${port}`), site('b'));
  await refuses(t, checked(claims, own('port', `tcp 127.0.0.1:${port}`), site('b')), /VM a has the port/);
  await refuses(t, checked(claims, own('port', `tcp 0.0.0.0:${port}`), site('b')), /VM a has the port/);
});

t.test(
  'refuses a forwarded port that another program listens on, but not the own one of a check',
  async t => {
    const { claims, start, site } = makeHost(t);
    start('a');
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const needs = own('port', `tcp 127.0.0.1:${port}`);
    await refuses(
      t,
      claims.claim(needs, site('a')),
      new RegExp(`another program listens on tcp 127.0.0.1:${port}`),
    );
    server.close();
    await once(server, 'close');
    await claims.claim(needs, site('a'));
    // As its VMM does now.
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    await checked(claims, needs, site('a'));
    server.close();
  },
);

t.test('refuses missing files and sockets, unless something is still to make them', async t => {
  const { claims, site, at } = makeHost(t);
  const file: HostNeeds = { ...NOTHING, files: [{ what: 'kernel', path: 'vmlinux' }] };
  await refuses(t, claims.claim(file, site('a')), /VM a: kernel .*\/vmlinux does not exist; create it/);
  await claims.claim(file, site('a', { preparedBy: 'preStart' }));
  writeFileSync(at('vmlinux'), '');
  await claims.claim(file, site('a'));
  const socket: HostNeeds = { ...NOTHING, sockets: [{ what: 'virtiofs socket', path: 'vmlinux' }] };
  await refuses(
    t,
    claims.claim(socket, site('a')),
    /virtiofs socket .*vmlinux is no socket; start the program/,
  );
  const server = createServer().listen(at('fs.sock'));
  await once(server, 'listening');
  await claims.claim({ ...NOTHING, sockets: [{ what: 'virtiofs socket', path: 'fs.sock' }] }, site('a'));
  server.close();
});

t.test('takes away a socket on which nobody listens, and no other', async t => {
  const { claims, start, site, at } = makeHost(t);
  for (const kind of ['vsock socket', 'serial socket'] as const) {
    const path = at(`${kind.slice(0, 2)}.sock`);
    start('a');
    leaveSocket(path);
    await checked(claims, own(kind, path), site('a'));
    t.ok(existsSync(path), 'a check takes nothing away');
    await claims.claim(own(kind, path), site('a'));
    t.notOk(existsSync(path));
    const server = createServer().listen(path);
    await once(server, 'listening');
    const refusal = new RegExp(`VM b: ${kind} ${path} is another program’s`);
    await refuses(t, claims.claim(own(kind, path), site('b')), /VM a has the/);
    await checked(claims, own(kind, path), site('a'));
    start('a').transition('ended');
    await refuses(t, claims.claim(own(kind, path), site('b')), refusal);
    await refuses(t, checked(claims, own(kind, path), site('b')), refusal);
    t.ok(existsSync(path), 'a socket in use stays');
    server.close();
    await once(server, 'close');
    writeFileSync(path, 'a file of somebody’s');
    await refuses(t, claims.claim(own(kind, path), site('b')), /is no socket; remove it/);
    t.ok(existsSync(path), 'a file stays');
  }
  const nowhere = own('vsock socket', at('nowhere', 'notify.vsock'));
  await refuses(
    t,
    claims.claim(nowhere, site('b')),
    /the folder of the vsock socket .*nowhere does not exist/,
  );
  await claims.claim(own('vsock socket', at('own', 'notify.vsock')), site('b'));
  const closed = site('b', { access: async wanted => wanted.map(() => 'refused') });
  await refuses(
    t,
    claims.claim(own('vsock socket', at('notify.vsock')), closed),
    /folder .* may not be written to by its user; namei -l/,
  );
});

t.test('a check tells all that stands in the way, and what it did not look at', async t => {
  const { claims, site, at } = makeHost(t);
  writeFileSync(at('there'), '');
  const needs: HostNeeds = {
    claims: [{ kind: 'tap', value: 'no-such-tap', shared: false }],
    files: [
      { what: 'kernel', path: 'nope' },
      { what: 'disk image', path: 'nada', isWritten: true },
      { what: 'initramfs', path: 'there' },
    ],
    sockets: [{ what: 'virtiofs socket', path: 'fs.sock' }],
    outputs: [{ what: 'serial file', path: '/nodir/x' }],
    needsKvm: false,
  };
  const told = async (differs: Partial<VmmSite>) => {
    const { problems, unseen } = await claims.check(needs, site('a', { isRoot: false, ...differs }));
    return { problems: problems.map(({ message }) => message).join('\n'), unseen: unseen.join('\n') };
  };
  t.match(await told({}), {
    problems:
      /kernel .*nope does not exist[\s\S]*disk image .*nada does not exist[\s\S]*virtiofs socket [\s\S]*no-such-tap/,
    unseen: '',
  });
  const unknown = await told({ access: async wanted => wanted.map(() => 'unknown') });
  t.match(unknown.unseen, /whether its user may use initramfs .*there/);
  const unit = await told({ makesSockets: 'a unit that web.service requires' });
  t.match(unit.unseen, /virtiofs socket .*a unit that web.service requires may make it/);
  t.match(unit.problems, /kernel .*nope does not exist/);
  const prepared = await told({ preparedBy: 'preStart' });
  t.equal(prepared.problems, '');
  for (const what of ['kernel', 'disk image', 'virtiofs socket', 'tap']) t.match(prepared.unseen, what);
});

t.test('a tap that is missing is refused where the VMM may not make it', async t => {
  const { claims, site } = makeHost(t);
  const needs = own('tap', 'vmsecretd-none');
  await claims.claim(needs, site('a'));
  const user = site('b', { isRoot: false });
  await refuses(
    t,
    checked(claims, own('tap', 'no-such-tap'), user),
    /tap no-such-tap does not exist.*ip tuntap add/,
  );
  await checked(claims, own('tap', 'lo'), user);
  await checked(claims, own('tap', 'no-such-tap'), { ...user, hasInterface: async () => undefined });
});

t.test('a tap or MAC address is taken in its own network namespace only', async t => {
  const { claims, start, site } = makeHost(t);
  for (const needs of [own('tap', 'tap0'), own('MAC address', '02:00:00:00:00:01')]) {
    start('a');
    await claims.claim(needs, site('a', { networkNamespace: '/run/netns/red' }));
    await checked(claims, needs, site('b'));
    await checked(claims, needs, site('b', { networkNamespace: '/run/netns/blue' }));
    const red = checked(claims, needs, site('b', { networkNamespace: '/run/netns/red' }));
    await refuses(t, red, /VM a has the/);
  }
});

t.test(
  'refuses cloud-hypervisor where its user may not open /dev/kvm, but no script in its place',
  async t => {
    const { claims, site, at } = makeHost(t);
    const needs = { ...NOTHING, needsKvm: true };
    const locked = site('a', {
      program: process.execPath,
      access: async wanted => wanted.map(() => 'refused'),
    });
    await refuses(t, claims.claim(needs, locked), /VM a: \/dev\/kvm (may not be opened|does not exist)/);
    await claims.claim(NOTHING, locked);
    writeFileSync(at('wrapper'), '#!/bin/sh\n');
    await claims.claim(needs, { ...locked, program: at('wrapper') });
  },
);

t.test('a missing /dev/kvm is refused, unless something is still to bring it', async t => {
  const { site, at } = makeHost(t);
  const kvmPath = at('kvm');
  const claims = new HostClaims({
    events: makeEvents(),
    looks: makeLooks(t),
    findVm: () => undefined,
    kvmPath,
  });
  const needs = { ...NOTHING, needsKvm: true };
  const binary = site('a', { program: process.execPath });
  if (!existsSync('/dev/mshv')) await refuses(t, checked(claims, needs, binary), /kvm does not exist; load/);
  await checked(claims, needs, { ...binary, preparedBy: 'preStart' });
  writeFileSync(kvmPath, '');
  await checked(claims, needs, binary);
  const locked = site('a', {
    program: process.execPath,
    preparedBy: 'preStart',
    access: async wanted => wanted.map(() => 'refused'),
  });
  await refuses(t, checked(claims, needs, locked), /kvm may not be opened/);
});

/** As a process does that is killed. */
function leaveSocket(path: string): void {
  const script =
    "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 9))";
  spawnSync(process.execPath, ['-e', script, path]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
