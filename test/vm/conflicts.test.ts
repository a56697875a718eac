import { once } from 'node:events';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { VmsecretdError } from '../../src/errors.js';
import type { HostClaim, HostNeeds } from '../../src/hypervisor/host-needs.js';
import { HostClaims } from '../../src/vm/conflicts.js';
import type { Vm } from '../../src/vm/vm.js';
import type { VmmSite } from '../../src/vm/vmm-site.js';
import { socketFolder } from '../setup/socket-folder.js';
import { defineVm, makeEvents, makeVm } from './vm-for-test.js';

const NOTHING: HostNeeds = { claims: [], files: [], sockets: [], needsKvm: false };

function makeHost(t: Test) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vms = new Map<string, Vm>();
  const claims = new HostClaims({ events, findVm: name => vms.get(name) });
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
    viewOf: undefined,
    isRoot: true,
    isPrepared: false,
    canOpen: async () => true,
    ...differs,
  });
  return { folder, at: (...names: string[]) => join(folder, ...names), claims, start, site };
}

const own = (kind: HostClaim['kind'], value: string, shared = false): HostNeeds => ({
  ...NOTHING,
  claims: [{ kind, value, shared }],
});

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
  ];
  for (const needs of kinds) {
    const [kind, value] = [needs.claims[0]?.kind, needs.claims[0]?.value];
    const first = start('first');
    await claims.claim(needs, site('first', { isPrepared: true }));
    start('second');
    const refusal = new RegExp(`VM second: VM first has the ${kind} ${value} already; .*stop VM first`);
    await refuses(t, claims.claim(needs, site('second')), refusal);
    await refuses(t, claims.check(needs, site('second')), refusal);
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
  await claims.check(own('port', `udp 127.0.0.1:${port}`), site('b'));
  await claims.check(own('port', `tcp 127.0.0.2:${port}`), site('b'));
  await refuses(t, claims.check(own('port', `tcp 127.0.0.1:${port}`), site('b')), /VM a has the port/);
  await refuses(t, claims.check(own('port', `tcp 0.0.0.0:${port}`), site('b')), /VM a has the port/);
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
    await claims.check(needs, site('a'));
    server.close();
  },
);

t.test('refuses missing files and sockets, unless something is still to make them', async t => {
  const { claims, site, at } = makeHost(t);
  const file: HostNeeds = { ...NOTHING, files: [{ what: 'kernel', path: 'vmlinux' }] };
  await refuses(t, claims.claim(file, site('a')), /VM a: kernel .*\/vmlinux does not exist; create it/);
  await claims.claim(file, site('a', { isPrepared: true }));
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

t.test('a tap that is missing is refused where the VMM may not make it', async t => {
  const { claims, site } = makeHost(t);
  const needs = own('tap', 'vmsecretd-none');
  await claims.claim(needs, site('a'));
  const user = site('b', { isRoot: false });
  await refuses(
    t,
    claims.check(own('tap', 'no-such-tap'), user),
    /tap no-such-tap does not exist.*ip tuntap add/,
  );
  await claims.check(own('tap', 'lo'), user);
  // A unit's process has its own view of the host; this one has ours.
  await claims.check(own('tap', 'lo'), { ...user, viewOf: process.pid });
  await refuses(t, claims.check(own('tap', 'no-such-tap'), { ...user, viewOf: process.pid }), /no-such-tap/);
});

t.test(
  'refuses cloud-hypervisor where its user may not open /dev/kvm, but no script in its place',
  async t => {
    const { claims, site, at } = makeHost(t);
    const needs = { ...NOTHING, needsKvm: true };
    const locked = site('a', { program: process.execPath, canOpen: async () => false });
    await refuses(t, claims.claim(needs, locked), /VM a: \/dev\/kvm (may not be opened|does not exist)/);
    await claims.claim(NOTHING, locked);
    writeFileSync(at('wrapper'), '#!/bin/sh\n');
    await claims.claim(needs, { ...locked, program: at('wrapper') });
  },
);

t.test('a missing /dev/kvm is refused, unless something is still to bring it', async t => {
  const { site, at } = makeHost(t);
  const kvmPath = at('kvm');
  const claims = new HostClaims({ events: makeEvents(), findVm: () => undefined, kvmPath });
  const needs = { ...NOTHING, needsKvm: true };
  const binary = site('a', { program: process.execPath });
  if (!existsSync('/dev/mshv')) await refuses(t, claims.check(needs, binary), /kvm does not exist; load/);
  await claims.check(needs, { ...binary, isPrepared: true });
  writeFileSync(kvmPath, '');
  await claims.check(needs, binary);
  const locked = { ...binary, isPrepared: true, canOpen: async () => false };
  await refuses(t, claims.check(needs, locked), /kvm may not be opened/);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
