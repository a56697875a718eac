// What is known of one VM, whoever supervises it: its state, the reasons for it, and its console.
//
// INVARIANTS
// - The state changes only through nextState, and each change is an event.
// - `running` is set exactly while a VMM with a booted guest belongs to this VM.
// - What a guest reported counts for that guest alone: each start and each reset begins without it, each end forgets it.

import type { Socket } from 'node:net';
import type { Static } from 'typebox';
import { Console } from '../console/console.js';
import { describeSource, fileOf, kindOf } from '../definition/credential-source.js';
import type { Definition } from '../definition/definition.js';
import type { OpenedRefresh } from '../delivery/deliverers.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import { addWords, VmsecretdError } from '../errors.js';
import type { VmPaths } from '../hypervisor/hypervisor.js';
import type { Logger } from '../log.js';
import { GuestReports } from '../reports/guest-reports.js';
import { explainStorageError } from '../system/storage-error.js';
import { parseTimeSpanMs } from '../system/time-span.js';
import type { VmEvents } from './events.js';
import type { RunningVm } from './start-vm.js';
import { isLive, nextState, type VmEvent, type VmState } from './state.js';
import type { StopStep } from './stop-vm.js';
import type { VmProblemSchema, VmSchema } from './view-schema.js';
import type { VmmExit } from './vmm-process.js';

export type VmView = Static<typeof VmSchema>;
export type Problem = Static<typeof VmProblemSchema>;

export interface VmFacts {
  definition: Definition;
  paths: VmPaths;
  events: VmEvents;
  now: () => Date;
  logger: Pick<Logger, 'error' | 'warn'>;
  /** Without it no guest gets anything on demand. */
  serveCredential?: ServeCredential;
}

/** As CredentialChannelOptions.serve. @param delivered what the guest got at boot */
export type ServeCredential = (
  vm: Vm,
  socket: Socket,
  head: Buffer,
  delivered: readonly PreparedCredential[],
) => Promise<void>;

/** What an earlier daemon knew of a VM that runs. */
export interface AdoptedFacts {
  startedAt: string | null;
  isPaused: boolean;
  ready: boolean;
  receipt: string | null;
}

/** What belongs to one guest, from its boot or reset to its end. */
interface GuestFacts {
  ready: boolean;
  status: string | null;
  receipt: string | null;
}

const NO_GUEST: GuestFacts = { ready: false, status: null, receipt: null };

export class Vm {
  readonly console = new Console();
  readonly reports = new GuestReports(this);
  readonly paths: VmPaths;
  readonly #events: VmEvents;
  readonly #now: () => Date;
  readonly #logger: Pick<Logger, 'error' | 'warn'>;
  readonly #serve: ServeCredential | undefined;
  #definition: Definition;
  #state: VmState = 'stopped';
  #running: RunningVm | undefined;
  #guest = NO_GUEST;
  #refresh: VmView['refresh'] = null;
  /** Of the run of the guest's kernel, by the guest part. */
  #guestBoot: string | null = null;
  /** The values of a refresh that is underway: the guest gets no others meanwhile. */
  #refreshing: Pick<OpenedRefresh, 'serve'> | undefined;
  #outdated: readonly string[] = [];
  #startedAt: string | null = null;
  #restarts = 0;
  /** What the guest ended with, as it said; null where it said nothing. */
  #guestExit: number | null = null;
  #lastExit: VmView['lastExit'] = null;
  #problem: Problem | null = null;
  /** When it is started again by itself, RFC 3339; null where nothing of the kind is planned. */
  #nextAttemptAt: string | null = null;
  /** How far a stop has come. */
  #stopStep: VmView['stopStep'] = null;
  #vmmWords: string | undefined;
  #recordProblem: Problem | null = null;

  constructor({ definition, paths, events, now, logger, serveCredential }: VmFacts) {
    this.#definition = definition;
    this.paths = paths;
    this.#events = events;
    this.#now = now;
    this.#logger = logger;
    this.#serve = serveCredential;
  }

  get name(): string {
    return this.#definition.name;
  }

  get definition(): Definition {
    return this.#definition;
  }

  get state(): VmState {
    return this.#state;
  }

  get running(): RunningVm | undefined {
    return this.#running;
  }

  get ready(): boolean {
    return this.#guest.ready;
  }

  get guestStatus(): string | null {
    return this.#guest.status;
  }

  get receipt(): string | null {
    return this.#guest.receipt;
  }

  get guestBoot(): string | null {
    return this.#guestBoot;
  }

  get refreshing(): Pick<OpenedRefresh, 'serve'> | undefined {
    return this.#refreshing;
  }

  get outdated(): readonly string[] {
    return this.#outdated;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get startedAt(): string | null {
    return this.#startedAt;
  }

  get problem(): Problem | null {
    return this.#problem ?? this.#recordProblem;
  }

  /** Of a VM that runs: why a later daemon would not find it as it is. */
  get recordProblem(): Problem | null {
    return this.#recordProblem;
  }

  /** What the VMM said of the problem, for root alone. */
  get vmmWords(): string | undefined {
    return this.#vmmWords;
  }

  /** It counts from the next start on, but for what is policy. */
  redefine(definition: Definition): void {
    this.#definition = definition;
    this.publish('definition', { change: 'changed' });
  }

  /** @returns whether the event can happen in this state; if not, nothing happened */
  transition(event: VmEvent): boolean {
    const to = nextState(this.#state, event);
    if (to === undefined) return false;
    const from = this.#state;
    this.#state = to;
    if (!isLive(to)) this.#guest = NO_GUEST;
    if (from !== to) this.#nextAttemptAt = null;
    const problem = to === 'failed' ? { problem: this.#problem } : {};
    if (from !== to) this.publish('state', { from, state: to, ...problem });
    return true;
  }

  publish(type: Parameters<VmEvents['publish']>[0], details: Record<string, unknown> = {}): void {
    this.#events.publish(type, this.name, details);
  }

  credentialsPrepared(credentials: readonly PreparedCredential[], notes: readonly string[]): void {
    const told = credentials.map(({ name, source, path, sizeBytes }) => ({ name, source, path, sizeBytes }));
    this.publish('credentials', { credentials: told, notes });
    if (this.#definition.delivery === 'cmdline') this.#logger.warn({ vm: this.name }, EXPOSED);
  }

  booted(running: RunningVm): void {
    this.#running = running;
    this.#guest = { ...this.#guest, receipt: this.#guest.receipt ?? receiptBefore(running) };
    this.#startedAt = this.#now().toISOString();
    this.#forgetProblem();
    this.#lastExit = null;
    this.transition('booted');
    if (this.#definition.ready === 'boot') this.becomeReady();
  }

  /** A VMM that outlived an earlier daemon is taken over, as that daemon knew it. */
  adopted(running: RunningVm, { startedAt, isPaused, ready, receipt }: AdoptedFacts): void {
    this.#running = running;
    this.#startedAt = startedAt;
    this.transition('adopted');
    this.#guest = { ...this.#guest, receipt: receipt ?? receiptBefore(running) };
    if (isPaused) this.transition('pause');
    if (ready || this.#definition.ready === 'boot') this.becomeReady();
  }

  /** A guest that is reset has the credentials of its boot still. */
  resetGuest(): void {
    this.#forgetRefresh();
    this.reports.startAnew();
    const receipt = this.#running === undefined ? null : receiptBefore(this.#running);
    this.#guest = { ...NO_GUEST, receipt };
    this.publish('reset');
    if (this.#definition.ready === 'boot') this.becomeReady();
  }

  /** The guest's receipt. @param problems what is wrong with it, or nothing */
  recordReceipt(problems: readonly string[]): void {
    const receipt = problems.length === 0 ? 'verified' : `failed: ${problems.join(', ')}`;
    if (receipt === this.#guest.receipt) return;
    this.#guest = { ...this.#guest, receipt };
    this.publish('receipt', { receipt });
    if (problems.length === 0 && this.#definition.ready === 'receipt') this.becomeReady();
  }

  async serveCredential(
    socket: Socket,
    head: Buffer,
    delivered: readonly PreparedCredential[],
  ): Promise<void> {
    await this.#serve?.(this, socket, head, delivered);
  }

  /** Its guest part is there; after a reset of the guest what it was given since the boot is gone. */
  guestCame(boot: string): void {
    if (this.#guestBoot === boot) return;
    if (this.#running?.refreshed?.guestBoot !== boot) this.#forgetRefresh();
    this.#guestBoot = boot;
    this.publish('guest-part');
  }

  beginRefresh(opened: Pick<OpenedRefresh, 'serve'>): void {
    this.#refreshing = opened;
  }

  endRefresh(): void {
    this.#refreshing = undefined;
  }

  /** @param credentials all that its guest has now @param changed what it got just now */
  refreshed(
    running: RunningVm,
    credentials: readonly PreparedCredential[],
    changed: readonly PreparedCredential[],
  ): void {
    if (changed.length > 0) {
      const atBoot = running.refreshed?.atBoot ?? running.credentials;
      running.refreshed = { atBoot, guestBoot: this.#guestBoot };
      running.credentials = credentials;
      this.reports.expect(credentials);
    }
    const names = changed.map(({ name }) => name);
    this.#refresh = { at: this.#now().toISOString(), credentials: names, problem: null };
    const reasons = new Set(names.map(name => `credential ${name}`));
    this.becomeOutdated(this.#outdated.filter(reason => !reasons.has(reason)));
    this.publish('refreshed', { credentials: names });
  }

  refreshFailed(error: unknown): void {
    const { at, ...problem } = this.describeProblem(error);
    this.#refresh = { at, credentials: [], problem };
    this.publish('refresh_failed', { problem });
  }

  /** It counts once the VMM is gone. */
  recordGuestExit(status: number): void {
    this.#guestExit = status;
  }

  recordGuestStatus(status: string | null): void {
    this.#guest = { ...this.#guest, status };
  }

  /** @param reasons what changed since its VM config was created; none when it is up to date (again) */
  becomeOutdated(reasons: readonly string[]): void {
    if (reasons.join('\n') === this.#outdated.join('\n')) return;
    this.#outdated = [...reasons];
    this.publish('outdated', { outdated: this.#outdated });
  }

  becomeReady(): void {
    if (this.#guest.ready) return;
    this.#guest = { ...this.#guest, ready: true };
    this.publish('ready');
  }

  /** A start that failed, or a failure that nobody asked for. */
  fail(error: unknown, event: 'start-failed' | 'broke'): void {
    this.#problem = this.describeProblem(error);
    this.#vmmWords = error instanceof VmsecretdError ? error.words : undefined;
    this.transition(event);
  }

  /** Its VMM is gone or never was, and nothing is wrong with that. */
  end(): void {
    this.transition('ended');
    this.#forgetProblem();
  }

  /** What becomes of the problem, such as `given up after 6 failures`. @returns whether that is news */
  annotateProblem(note: string): boolean {
    const ending = `; ${note}`;
    if (this.#problem === null || this.#problem.detail.endsWith(ending)) return false;
    this.#problem = { ...this.#problem, detail: `${this.#problem.detail}${ending}` };
    return true;
  }

  /** systemd starts the unit again by itself. @param delay as systemd writes it, such as `5s` */
  noteRetry(delay: string): void {
    if (this.annotateProblem(`systemd tries again in ${delay}`)) this.planAttempt(parseTimeSpanMs(delay));
  }

  /** @param delayMs until it is started again by itself; undefined where it is not, after all */
  planAttempt(delayMs: number | undefined): void {
    this.#nextAttemptAt =
      delayMs === undefined ? null : new Date(this.#now().getTime() + delayMs).toISOString();
  }

  /** A step of the stop ladder begins. @param timeoutMs how long it gets; undefined for the last */
  stopReached(step: StopStep, timeoutMs?: number): void {
    const timeoutSeconds = timeoutMs === undefined ? null : Math.ceil(timeoutMs / 1000);
    this.#stopStep = { step, at: this.#now().toISOString(), timeoutSeconds };
    this.publish('stop-step', { step, timeoutSeconds });
  }

  /** @param count how often it was started again without anyone asking */
  recordRestarts(count: number): void {
    this.#restarts = count;
  }

  /** @param error why a later daemon would not find the VM as it is; undefined where it would */
  recordKept(error?: unknown): void {
    this.#recordProblem = error === undefined ? null : this.describeProblem(error);
  }

  /** The VMM is gone; what that means for the state is for its supervisor to say. */
  handleVmmExit({ status, signal }: Pick<VmmExit, 'status' | 'signal'>): void {
    this.#running = undefined;
    this.#guest = NO_GUEST;
    this.#refresh = null;
    this.#guestBoot = null;
    this.#startedAt = null;
    this.#stopStep = null;
    this.#recordProblem = null;
    this.becomeOutdated([]);
    this.#lastExit = { at: this.#now().toISOString(), status, signal, guestStatus: this.#guestExit };
    this.#guestExit = null;
    this.publish('exit', { status, signal });
  }

  /** What counts is what SMBIOS has. */
  #forgetRefresh(): void {
    this.#guestBoot = null;
    if (this.#running?.refreshed === undefined) return;
    this.#running.credentials = this.#running.refreshed.atBoot;
    this.#running.refreshed = undefined;
    this.#refresh = null;
  }

  #forgetProblem(): void {
    this.#problem = null;
    this.#vmmWords = undefined;
  }

  describeProblem(error: unknown): Problem {
    const explained = explainStorageError(error);
    const known = explained instanceof VmsecretdError ? explained : undefined;
    if (known === undefined) this.#logger.error({ vm: this.name, stack: stackOf(error) }, 'internal error');
    return {
      at: this.#now().toISOString(),
      code: known?.code ?? 'internal',
      detail: known?.message ?? `VM ${this.name}: something went wrong inside vmsecretd; its log has more`,
    };
  }

  /** As the API shows it to operators: names, sources and sizes, never values. */
  toJSON(): VmView {
    return this.view(false);
  }

  /** @param isForRoot whether it may have what the VMM said */
  view(isForRoot: boolean): VmView {
    const { definition, running, problem } = this;
    const sizes = new Map(running?.credentials.map(({ name, sizeBytes }) => [name, sizeBytes]));
    return {
      name: this.name,
      state: this.state,
      ready: this.ready,
      guestStatus: this.guestStatus,
      outdated: [...this.outdated],
      exposed: definition.delivery === 'cmdline',
      supervisor: definition.supervisor,
      unit: definition.supervisor === 'unit' ? definition.unit : null,
      hypervisor: definition.hypervisor,
      hypervisorVersion: running?.control.version ?? null,
      delivery: definition.delivery,
      receipt: this.receipt,
      refresh: this.#refresh,
      pid: running?.vmm.pid ?? null,
      startedAt: this.startedAt,
      restarts: this.restarts,
      nextAttemptAt: this.#nextAttemptAt,
      stopStep: this.#stopStep,
      lastExit: this.#lastExit,
      problem:
        problem !== null && isForRoot
          ? { ...problem, detail: addWords(problem.detail, this.#vmmWords) }
          : problem,
      origin: definition.origin,
      credentials: Object.entries(definition.credentials).map(([name, source]) => ({
        name,
        source: kindOf(source),
        path: fileOf(source) ?? null,
        from: describeSource(source) ?? null,
        sizeBytes: sizes.get(name) ?? null,
      })),
    };
  }
}

/** Told wherever an operator looks. */
export const EXPOSED =
  'delivery "cmdline" puts the secrets on a command line that every user of this host can read; "api" keeps them out of it';

/** As long as none came. */
function receiptBefore({ channels }: RunningVm): string | null {
  return channels.receipt === undefined ? null : 'pending';
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : typeof error;
}
