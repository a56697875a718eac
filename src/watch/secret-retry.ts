// A VM that failed because its secrets could not be had is started again when they change: with supervisor `daemon`,
// restart policy permitting. (A unit's restarts are systemd's own.)
//
// INVARIANT: no storm. The same content of the sources is tried once, and tries are further apart each time.
import { watchedPaths } from '../definition/credential-source.js';
import type { ErrorCode } from '../errors.js';
import type { NamedSource } from '../secrets/source.js';
import type { PathWatch } from '../system/path-watch.js';
import type { VmEvents } from '../vm/events.js';
import type { Vm } from '../vm/vm.js';

export interface SecretRetryTools {
  events: VmEvents;
  findVm(name: string): Vm | undefined;
  pathWatch: PathWatch;
  /** As Deliverers.digest. */
  digest(sources: NamedSource[]): Promise<readonly (string | null)[]>;
  start(vm: Vm): Promise<void>;
  onProblem(error: unknown): void;
}

const WAITS_FOR_SECRETS: ReadonlySet<ErrorCode> = new Set([
  'secret_missing',
  'secret_unreadable',
  'secret_no_identity',
  'secret_corrupt',
  'secret_too_large',
]);

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;

interface Waiting {
  vm: Vm;
  unwatch: (() => void) | undefined;
  timer: NodeJS.Timeout | undefined;
  isOver: boolean;
}

interface Tries {
  count: number;
  /** Digests of the sources when it was last tried. */
  sources: string;
  /** In ms of the monotonic clock: the wall clock may be set. */
  notBefore: number;
}

export class SecretRetry {
  readonly #tools: SecretRetryTools;
  readonly #waiting = new Map<string, Waiting>();
  readonly #tries = new Map<string, Tries>();
  readonly #unsubscribe: () => void;

  constructor(tools: SecretRetryTools) {
    this.#tools = tools;
    this.#unsubscribe = tools.events.subscribe(({ type, vm }) => {
      if (type === 'state' || type === 'definition') this.#track(vm);
    });
  }

  close(): void {
    this.#unsubscribe();
    for (const waiting of this.#waiting.values()) this.#drop(waiting);
  }

  #track(name: string): void {
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) this.#drop(waiting);
    const vm = this.#tools.findVm(name);
    if (vm === undefined || vm.state === 'running' || vm.state === 'stopped') this.#tries.delete(name);
    if (vm !== undefined && waitsForSecrets(vm)) {
      this.#wait(vm).catch(error => this.#tools.onProblem(error));
    }
  }

  #drop(waiting: Waiting): void {
    waiting.isOver = true;
    waiting.unwatch?.();
    clearTimeout(waiting.timer);
    this.#waiting.delete(waiting.vm.name);
  }

  async #wait(vm: Vm): Promise<void> {
    const waiting: Waiting = { vm, unwatch: undefined, timer: undefined, isOver: false };
    this.#waiting.set(vm.name, waiting);
    const paths = sourcesOf(vm).flatMap(({ source }) => watchedPaths(source));
    if (paths.length === 0) return;
    const look = () => {
      this.#look(waiting).catch(error => this.#tools.onProblem(error));
    };
    const unwatch = await this.#tools.pathWatch.watch(paths, look);
    if (waiting.isOver) return unwatch();
    waiting.unwatch = unwatch;
    // What is there and does not open is known by now; what was missing may have come meanwhile.
    if (vm.problem?.code !== 'secret_missing' && !this.#tries.has(vm.name)) {
      this.#tries.set(vm.name, { count: 0, sources: await this.#digest(vm), notBefore: 0 });
    } else await this.#look(waiting);
  }

  async #look(waiting: Waiting): Promise<void> {
    const { vm } = waiting;
    const sources = await this.#digest(vm);
    const last = this.#tries.get(vm.name);
    if (waiting.isOver || waiting.timer !== undefined) return;
    if (sources.includes('null') || sources === last?.sources) return;
    const delayMs = Math.max(0, (last?.notBefore ?? 0) - performance.now());
    vm.planAttempt(delayMs);
    waiting.timer = setTimeout(() => {
      this.#remember(vm, sources);
      this.#drop(waiting);
      // A start that fails is told by the VM's own problem.
      this.#tools.start(vm).catch(() => {});
    }, delayMs);
  }

  #remember(vm: Vm, sources: string): void {
    const count = (this.#tries.get(vm.name)?.count ?? 0) + 1;
    const notBefore = performance.now() + Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (count - 1));
    this.#tries.set(vm.name, { count, sources, notBefore });
  }

  async #digest(vm: Vm): Promise<string> {
    return (await this.#tools.digest(sourcesOf(vm))).map(String).join(' ');
  }
}

function waitsForSecrets({ state, problem, definition }: Vm): boolean {
  if (state !== 'failed' || problem === null || !WAITS_FOR_SECRETS.has(problem.code)) return false;
  return definition.supervisor === 'daemon' && definition.restart !== 'no';
}

/** Those of which a change is noticed. */
function sourcesOf({ definition }: Vm): NamedSource[] {
  return Object.entries(definition.credentials)
    .filter(([, source]) => watchedPaths(source).length > 0)
    .map(([credential, source]) => ({ vm: definition.name, credential, source }));
}
