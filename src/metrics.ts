// What Prometheus is told: states, starts, failures and how long starts take, by names alone.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ERROR_TABLE } from './errors.js';
import { addProcessMetrics } from './process-metrics.js';
import type { VmEvents } from './vm/events.js';
import type { StartPhase } from './vm/start-vm.js';
import { VM_STATES } from './vm/state.js';
import type { Vm } from './vm/vm.js';
import { VmMetrics } from './vm-metrics.js';

export interface MetricsTools {
  events: VmEvents;
  listVms(): Vm[];
  now(): number;
  version: string;
}

/** From a VMM's first milliseconds to a guest that takes minutes to be ready. */
const PHASE_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

export class Metrics {
  readonly #registry = new Registry();
  readonly #phases: Histogram<'phase'>;
  readonly #vms: VmMetrics;
  readonly #unsubscribe: () => void;
  #rendering: Promise<string> | undefined;

  constructor(tools: MetricsTools) {
    const registers = [this.#registry];
    addProcessMetrics(this.#registry);
    this.#phases = new Histogram({
      name: 'vmsecretd_start_duration_seconds',
      help: 'How long the phases of starts take',
      labelNames: ['phase'],
      buckets: PHASE_BUCKETS_SECONDS,
      registers,
    });
    new Gauge({
      name: 'vmsecretd_build_info',
      help: 'Always 1: what runs',
      labelNames: ['version', 'node'],
      registers,
    }).set({ version: tools.version, node: process.version }, 1);
    this.#gaugeVms(tools, registers);
    this.#vms = new VmMetrics(this.#registry, tools.listVms);
    this.#unsubscribe = this.#countEvents(tools, registers);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  observePhase(phase: StartPhase | 'ready', durationMs: number): void {
    this.#phases.observe({ phase }, durationMs / 1000);
  }

  /** All metrics in Prometheus' text format. Who asks while VMs are asked shares the answer. */
  render(): Promise<string> {
    this.#rendering ??= this.#render().finally(() => {
      this.#rendering = undefined;
    });
    return this.#rendering;
  }

  async #render(): Promise<string> {
    await this.#vms.refresh();
    return this.#registry.metrics();
  }

  close(): void {
    this.#unsubscribe();
    this.#registry.clear();
  }

  #gaugeVms({ listVms }: MetricsTools, registers: Registry[]): void {
    new Gauge({
      name: 'vmsecretd_vms',
      help: 'VMs by state',
      labelNames: ['state'],
      registers,
      collect() {
        for (const state of VM_STATES) this.set({ state }, 0);
        for (const { state } of listVms()) this.inc({ state });
      },
    });
    new Gauge({
      name: 'vmsecretd_vms_outdated',
      help: 'Running VMs whose definition or secrets changed since they were started',
      registers,
      collect() {
        this.set(listVms().filter(vm => vm.outdated.length > 0).length);
      },
    });
  }

  #countEvents({ events, now }: MetricsTools, registers: Registry[]): () => void {
    const starts = new Counter({
      name: 'vmsecretd_starts_total',
      help: 'Starts that were begun',
      registers,
    });
    const failures = new Counter({
      name: 'vmsecretd_failures_total',
      help: 'Failures by code, during starts and of VMs that ran',
      labelNames: ['code', 'during'],
      registers,
    });
    // Else the first failure would be no increase.
    for (const code of Object.keys(ERROR_TABLE))
      if (code.startsWith('secret_')) failures.inc({ code, during: 'start' }, 0);
    const onDemand = new Counter({
      name: 'vmsecretd_on_demand_total',
      help: 'Credentials that guests asked for, by what became of it',
      labelNames: ['outcome'],
      registers,
    });
    const refreshes = new Counter({
      name: 'vmsecretd_refreshes_total',
      help: 'Refreshes of running guests, by their end',
      labelNames: ['result'],
      registers,
    });
    for (const result of ['refreshed', 'refresh_failed']) refreshes.inc({ result }, 0);
    onDemand.inc({ outcome: 'delivered' }, 0);
    const bootedAt = new Map<string, number>();
    return events.subscribe(({ type, vm, from, state, problem, outcome }) => {
      if (type === 'on-demand') onDemand.inc({ outcome: String(outcome) });
      if (type === 'refreshed' || type === 'refresh_failed') refreshes.inc({ result: type });
      if (type === 'state') {
        bootedAt.delete(vm);
        if (state === 'starting') starts.inc();
        if (from === 'starting' && state === 'running') bootedAt.set(vm, now());
        if (state === 'failed')
          failures.inc({ code: codeOf(problem), during: from === 'starting' ? 'start' : 'run' });
      }
      if (type !== 'ready') return;
      const since = bootedAt.get(vm);
      // A guest that is reset is ready once more, and that is no start.
      bootedAt.delete(vm);
      if (since !== undefined) this.observePhase('ready', now() - since);
    });
  }
}

function codeOf(problem: unknown): string {
  const isProblem = typeof problem === 'object' && problem !== null && 'code' in problem;
  return isProblem ? String(problem.code) : 'internal';
}
