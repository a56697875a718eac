// New secrets for a guest that runs: opened all or none, fetched by its guest part, and proved by its receipt.
//
// INVARIANTS
// - Nothing is told to the guest before every secret of the VM is open.
// - What the guest asks for meanwhile are the values of that moment, and the receipt is compared with their digests.
// - Only such a receipt makes a credential count as up to date.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Deliverers, OpenedRefresh } from '../delivery/deliverers.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import { VmsecretdError } from '../errors.js';
import { verifyReceipt } from '../reports/receipt.js';
import { type RefreshChannel, RefreshRefusedError } from '../reports/refresh-channel.js';
import { stateConflict } from './guest-controls.js';
import { preparationOf, type RunningVm } from './start-vm.js';
import type { Vm } from './vm.js';

export interface RefreshTools {
  deliverers: Pick<Deliverers, 'open'>;
  identities: readonly string[];
  passphraseFiles: readonly string[];
}

/** A guest part that was started again, or whose daemon was, is there once more within seconds. */
const GUEST_WAIT_MS = 10_000;
const GUEST_LOOK_MS = 100;

export class Refreshes {
  readonly #tools: RefreshTools;
  readonly #underway = new Map<Vm, Promise<void>>();
  readonly #next = new Map<Vm, Promise<void>>();

  constructor(tools: RefreshTools) {
    this.#tools = tools;
  }

  /**
   * Settles once the guest has acknowledged the secrets of now. What is asked for while a refresh is underway is one more after it:
   * that one may have opened what was changed since.
   * @throws VmsecretdError why it did not: state_conflict, refresh_failed, and what a start throws of a secret
   */
  refresh(vm: Vm): Promise<void> {
    const underway = this.#underway.get(vm);
    if (underway === undefined) {
      const refresh = this.#refresh(vm).finally(() => this.#underway.delete(vm));
      this.#underway.set(vm, refresh);
      return refresh;
    }
    const next =
      this.#next.get(vm) ??
      underway
        .catch(() => {})
        .then(() => {
          this.#next.delete(vm);
          return this.refresh(vm);
        });
    this.#next.set(vm, next);
    return next;
  }

  async #refresh(vm: Vm): Promise<void> {
    const running = requireRefreshable(vm);
    const seconds = vm.definition.startTimeoutSeconds;
    const deadline = AbortSignal.timeout(seconds * 1000);
    try {
      await this.#carryOut(vm, running, deadline);
    } catch (error) {
      const failure = deadline.aborted
        ? refreshFailed(vm, `it did not within ${seconds} s`)
        : explain(vm, error);
      if (vm.running === running) vm.refreshFailed(failure);
      throw failure;
    }
  }

  async #carryOut(vm: Vm, running: RunningVm, signal: AbortSignal): Promise<void> {
    const opened = await this.#tools.deliverers.open(
      preparationOf(this.#tools, vm.definition, undefined),
      signal,
    );
    try {
      const changed = findChanged(running, opened.credentials);
      if (changed.length > 0) {
        vm.beginRefresh(opened);
        await askGuest(vm, running, changed, signal);
      }
      const names = new Set(opened.credentials.map(({ name }) => name));
      const others = running.credentials.filter(({ name }) => !names.has(name));
      vm.refreshed(running, [...opened.credentials, ...others], changed);
    } finally {
      vm.endRefresh();
      opened.end();
    }
  }
}

async function askGuest(
  vm: Vm,
  running: RunningVm,
  changed: readonly PreparedCredential[],
  signal: AbortSignal,
): Promise<void> {
  const channel = await untilGuest(vm, running, signal);
  const id = randomUUID().replaceAll('-', '');
  const receipt = await channel.ask(
    id,
    changed.map(({ name }) => name),
    signal,
  );
  const verdict = verifyReceipt(
    receipt,
    changed.map(({ name, receiptDigest = '' }) => ({ name, digest: receiptDigest })),
  );
  if (verdict.status === 'verified') return;
  const { missing, different } = verdict;
  const problems = [
    ...missing.map(name => `${name} is missing`),
    ...different.map(name => `${name} differs`),
  ];
  throw new RefreshRefusedError(`of its receipt ${problems.join(', ')}`);
}

async function untilGuest(vm: Vm, running: RunningVm, signal: AbortSignal): Promise<RefreshChannel> {
  const lookUntil = performance.now() + GUEST_WAIT_MS;
  for (;;) {
    signal.throwIfAborted();
    if (vm.running !== running) throw new RefreshRefusedError('its VMM ended meanwhile');
    const channel = vm.reports.refresh;
    if (channel?.hasGuest === true) return channel;
    if (performance.now() > lookUntil) break;
    await delay(GUEST_LOOK_MS, undefined, { signal });
  }
  throw new RefreshRefusedError(
    'its guest part vmsecretd-refresh is not there; install the guest parts (docs/guest.md), or restart the VM',
  );
}

function requireRefreshable(vm: Vm): RunningVm {
  const { running } = vm;
  if (running === undefined || vm.state !== 'running')
    throw stateConflict(vm, 'refresh', 'that takes a VM that is running');
  if (running.channels.refresh !== undefined) return running;
  throw stateConflict(
    vm,
    'refresh',
    'it was started without a channel for that; set "onChange": "refresh" in its definition, and restart it',
  );
}

/** What is not to be compared, such as a text, changes with the definition alone. */
function findChanged(
  running: RunningVm,
  opened: OpenedRefresh['credentials'],
): readonly PreparedCredential[] {
  const before = new Map(running.credentials.map(credential => [credential.name, credential]));
  return opened.filter(now => {
    const then = before.get(now.name);
    // A credential that is new in the definition comes with a restart, unless the guest asks for it.
    if (then === undefined) return false;
    return digestOf(then) !== digestOf(now);
  });
}

function digestOf({ ciphertextDigest, digest }: PreparedCredential): string | undefined {
  return ciphertextDigest ?? digest;
}

function explain(vm: Vm, error: unknown): unknown {
  return error instanceof RefreshRefusedError ? refreshFailed(vm, error.message) : error;
}

function refreshFailed({ name: vm }: Vm, why: string): VmsecretdError {
  return new VmsecretdError('refresh_failed', `VM ${vm}: its guest has not taken the new secrets: ${why}`, {
    details: { vm },
  });
}
