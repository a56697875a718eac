// A start without the start: everything that can be known before a VMM runs, told item by item.
import { warnOfFirstPage } from '../credentials/limits.js';
import { credentialStringSize } from '../credentials/oem-string.js';
import { digestDefinition } from '../definition/definition-digest.js';
import type { Delivery } from '../delivery/deliverers.js';
import { type ErrorCode, VmsecretdError } from '../errors.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { planVm, prepareCredentials, type StartTools, withinStartTimeout } from './start-vm.js';
import { EXPOSED, type Vm } from './vm.js';

export interface Check {
  name: string;
  ok: boolean;
  code: ErrorCode | null;
  detail: string;
}

export interface CheckReport {
  ok: boolean;
  checks: Check[];
}

/** In place of what a unit's launcher brings, without which its secrets can be checked; with a channel, which `ready` may ask for. */
const LAUNCHERS_COMMAND = ['--kernel', '/dev/null', '--vsock', 'cid=3,socket=vsock.sock'];

export async function checkVm(vm: Vm, tools: StartTools): Promise<CheckReport> {
  const checks: Check[] = [];
  try {
    await examine(vm, tools, check => checks.push(check), new AbortController().signal);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    const { credential, flag } = error.details;
    const name =
      credential !== undefined ? `credential ${credential}` : flag !== undefined ? `option ${flag}` : 'start';
    checks.push({ name, ok: false, code: error.code, detail: error.message });
  }
  return { ok: checks.every(check => check.ok), checks };
}

/**
 * Asked before a VM that runs is stopped to be started anew.
 * @param signal ends the asking, for its reason
 * @throws VmsecretdError why it would not start again
 */
export async function requireStartable(vm: Vm, tools: StartTools, signal: AbortSignal): Promise<void> {
  const isAsStarted = vm.running?.definitionDigest === digestDefinition(vm.definition);
  const refuse = ({ code, detail }: Check) => {
    // What the definition that it runs with needs of the host it has itself.
    if (code !== null && !isAsStarted) throw new VmsecretdError(code, detail, { details: { vm: vm.name } });
  };
  try {
    await examine(vm, tools, refuse, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof VmsecretdError)) throw error;
    const { code, message, details } = error;
    throw new VmsecretdError(code, `${message} (so it was not stopped)`, { details, cause: error });
  }
}

/** @throws VmsecretdError the first thing that keeps it from starting, but for the host */
async function examine(
  vm: Vm,
  tools: StartTools,
  note: (check: Check) => void,
  signal: AbortSignal,
): Promise<void> {
  const { definition, paths } = vm;
  const noteGood = (name: string, detail: string) => note({ name, ok: true, code: null, detail });
  noteGood('definition', definition.path);
  const bringsOwnCommand =
    definition.supervisor === 'unit' && definition.command === undefined && definition.vmConfig === undefined;
  const plan = await planVm(tools, {
    definition,
    paths,
    ownsConsole: definition.supervisor === 'daemon',
    ...(bringsOwnCommand ? { command: LAUNCHERS_COMMAND } : {}),
  });
  noteGood('command', bringsOwnCommand ? `brought by the launcher of ${definition.unit}` : plan.program);
  if (!bringsOwnCommand) note(await checkHost(plan, tools));
  if (definition.delivery === 'cmdline') noteGood('delivery', EXPOSED);
  const delivery = await withinStartTimeout(definition, signal, both =>
    prepareCredentials(tools, definition, plan, both),
  );
  delivery.end();
  for (const { name, source, path, sizeBytes } of delivery.credentials)
    noteGood(`credential ${name}`, `${source} ${path ?? ''} (${sizeBytes} bytes)`);
  for (const detail of warningsOf(plan, delivery)) noteGood('warning', detail);
}

/** A conflict keeps nobody from knowing whether the secrets are in order. */
async function checkHost(plan: VmPlan, tools: StartTools): Promise<Check> {
  try {
    await tools.checkHost(plan);
    return { name: 'host', ok: true, code: null, detail: 'nothing is missing, nothing is taken' };
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return { name: 'host', ok: false, code: error.code, detail: error.message };
  }
}

/** A guest that sends a receipt tells by itself what it lacks. */
function warningsOf(plan: VmPlan, { credentials, notes }: Delivery): string[] {
  if (plan.channels.receipt !== undefined) return [...notes];
  const warning = warnOfFirstPage([
    ...plan.staticOemStrings.map(string => Buffer.byteLength(string)),
    ...credentials.map(({ name, sizeBytes }) => credentialStringSize(name, sizeBytes)),
  ]);
  return warning === undefined ? [...notes] : [...notes, warning];
}
