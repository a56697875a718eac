// A start without the start: everything that can be known before a VMM runs, told item by item.
import { warnOfFirstPage } from '../credentials/limits.js';
import { credentialStringSize } from '../credentials/oem-string.js';
import { describeSource } from '../definition/credential-source.js';
import { digestDefinition } from '../definition/definition-digest.js';
import type { CheckResult } from '../delivery/protocol.js';
import { type ErrorCode, VmsecretdError } from '../errors.js';
import type { HostNeeds } from '../hypervisor/host-needs.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { printable } from '../system/printable.js';
import { planVm, preparationOf, type StartTools, withinStartTimeout } from '../vm/start-vm.js';
import { EXPOSED, type Vm } from '../vm/vm.js';
import { checkMemory } from './memory.js';

export interface Check {
  name: string;
  ok: boolean;
  code: ErrorCode | null;
  detail: string;
}

/** With the failure as it was thrown, which the report leaves out. */
interface Found extends Check {
  error?: VmsecretdError;
}

export interface CheckReport {
  ok: boolean;
  checks: Check[];
}

/** @param isForRoot whether it may have what a program wrote to standard error */
export async function checkVm(vm: Vm, tools: StartTools, isForRoot: boolean): Promise<CheckReport> {
  const checks: Check[] = [];
  const note = ({ name, ok, code, detail, error }: Found) =>
    checks.push({ name, ok, code, detail: (isForRoot ? error?.messageForRoot : undefined) ?? detail });
  const plan = await examine(vm, tools, note, new AbortController().signal);
  const memory = plan?.isLaunchers === false ? plan.needs.memory : undefined;
  if (memory !== undefined && memory.length > 0) note(await examineMemory(vm, memory));
  return { ok: checks.every(check => check.ok), checks };
}

/**
 * Asked before a VM that runs is stopped to be started anew.
 * @param signal ends the asking, for its reason
 * @throws VmsecretdError why it would not start again
 */
export async function requireStartable(vm: Vm, tools: StartTools, signal: AbortSignal): Promise<void> {
  const isAsStarted = vm.running?.definitionDigest === digestDefinition(vm.definition);
  const failures: Found[] = [];
  const note = (check: Found) => {
    // What the definition that it runs with needs of the host it has itself.
    if (!check.ok && !(isAsStarted && check.name === HOST)) failures.push(check);
  };
  await examine(vm, tools, note, signal);
  signal.throwIfAborted();
  const [first] = failures;
  if (first?.error === undefined) return;
  const { code, message, details } = first.error;
  throw new VmsecretdError(code, `${message} (so it was not stopped)`, {
    details: { ...details, vm: vm.name },
    cause: first.error,
  });
}

const HOST = 'host';
/** Tells everything that keeps it from starting, and what it did not look at. */
async function examine(
  vm: Vm,
  tools: StartTools,
  note: (check: Found) => void,
  signal: AbortSignal,
): Promise<CheckedPlan | undefined> {
  const { definition } = vm;
  const noteGood = (name: string, detail: string) => note({ name, ok: true, code: null, detail });
  const noteFailure = (error: unknown, name = nameOf(error)) => note(failureOf(error, name));
  noteGood('definition', definition.path);
  const plan = await planForCheck(vm, tools).catch(error => void noteFailure(error));
  if (plan !== undefined) {
    const { isLaunchers } = plan;
    noteGood('command', isLaunchers ? `brought by the launcher of ${definition.unit}` : plan.program);
    if (isLaunchers) noteGood('warning', `not looked at: what the command of ${definition.unit} needs`);
    else await checkHost(plan, tools, { note, noteFailure });
    if (definition.delivery === 'cmdline') noteGood('delivery', EXPOSED);
  }
  try {
    const report = await withinStartTimeout(definition, signal, both =>
      tools.deliverers.check(preparationOf(tools, definition, plan), both),
    );
    for (const problem of report.problems)
      noteFailure(new VmsecretdError(problem.code, problem.message, problem));
    for (const { name, source, sizeBytes } of report.credentials) {
      const declared = definition.credentials[name];
      const from = declared === undefined ? undefined : describeSource(declared);
      noteGood(`credential ${name}`, `${source} ${printable(from ?? '')} (${sizeBytes} bytes)`);
    }
    if (plan !== undefined) for (const detail of warningsOf(plan, report)) noteGood('warning', detail);
  } catch (error) {
    signal.throwIfAborted();
    noteFailure(error);
  }
  return plan;
}

const MEMORY = 'memory';
async function examineMemory(
  { name: vm, running }: Vm,
  memory: NonNullable<HostNeeds['memory']>,
): Promise<Found> {
  const good = (detail: string) => ({ name: MEMORY, ok: true, code: null, detail });
  if (running !== undefined) return good('not looked at: the VM runs, and has its memory');
  const found = await checkMemory(vm, memory);
  return typeof found === 'string' ? good(found) : failureOf(found, MEMORY);
}

type CheckedPlan = VmPlan & { isLaunchers: boolean };

async function planForCheck({ definition, paths }: Vm, tools: StartTools): Promise<CheckedPlan> {
  const isLaunchers =
    definition.supervisor === 'unit' && definition.command === undefined && definition.vmConfig === undefined;
  const plan = await planVm(tools, {
    definition,
    paths,
    ownsConsole: definition.supervisor === 'daemon',
    ...(isLaunchers ? { command: tools.hypervisor.unit.placeholder } : {}),
  });
  return { ...plan, isLaunchers };
}

interface Notes {
  note(check: Found): void;
  noteFailure(error: unknown, name: string): void;
}

async function checkHost(plan: VmPlan, tools: StartTools, { note, noteFailure }: Notes): Promise<void> {
  try {
    const { problems, unseen } = await tools.checkHost(plan);
    for (const problem of problems) noteFailure(problem, HOST);
    for (const detail of unseen)
      note({ name: 'warning', ok: true, code: null, detail: `not looked at: ${detail}` });
    if (problems.length > 0) return;
    const detail =
      unseen.length === 0 ? 'nothing is missing, nothing is taken' : 'what was looked at is there';
    note({ name: HOST, ok: true, code: null, detail });
  } catch (error) {
    noteFailure(error, HOST);
  }
}

/** @throws what is no VmsecretdError, as it is */
function failureOf(error: unknown, name: string): Found {
  if (!(error instanceof VmsecretdError)) throw error;
  return { name, ok: false, code: error.code, detail: error.message, error };
}

function nameOf(error: unknown): string {
  const { credential, flag } = error instanceof VmsecretdError ? error.details : {};
  if (credential !== undefined) return `credential ${credential}`;
  return flag !== undefined ? `option ${flag}` : 'start';
}

/** A guest that sends a receipt tells by itself what it lacks. */
function warningsOf(
  plan: VmPlan,
  { credentials, notes }: Pick<CheckResult, 'credentials' | 'notes'>,
): string[] {
  if (plan.channels.receipt !== undefined) return [...notes];
  const warning = warnOfFirstPage([
    ...plan.staticOemStrings.map(string => Buffer.byteLength(string)),
    ...credentials
      .filter(({ onDemand }) => onDemand !== true)
      .map(({ name, sizeBytes }) => credentialStringSize(name, sizeBytes)),
  ]);
  return warning === undefined ? [...notes] : [...notes, warning];
}
