// What the daemon itself knows of each VM: whether it would start, and what deserves a look.

import { EXPOSED } from '../../vm/vm.js';
import { isCheckReport } from '../answer-checks.js';
import { understand, type VmAnswer } from '../answers.js';
import { CliError, type Client } from '../client.js';
import { vmPath } from '../context.js';
import { type Finding, fine, page, warning, wrong } from './finding.js';

export async function checkVms(client: Client, vms: readonly VmAnswer[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  // One after the other: a check decrypts, which takes a process of its own.
  for (const vm of vms) findings.push(...noteworthy(vm), ...(await checkStart(client, vm)));
  return findings;
}

function noteworthy({ name, exposed, outdated, problem }: VmAnswer): Finding[] {
  const check = `VM ${name}`;
  return [
    ...(exposed
      ? [warning(check, EXPOSED, 'take "delivery": "cmdline" out of its definition, unless it is meant so')]
      : []),
    ...(outdated.length > 0
      ? [warning(check, `runs with what is outdated: ${outdated.join(', ')}`, `vmsecretctl restart ${name}`)]
      : []),
    ...(problem === null
      ? []
      : [wrong(check, withoutName(name, problem.detail), explanationOf(problem.code))]),
  ];
}

async function checkStart(client: Client, { name, pid, state, problem }: VmAnswer): Promise<Finding[]> {
  const check = `VM ${name}`;
  try {
    const { checks } = understand(await client.wait('POST', vmPath(name, '/check')), isCheckReport);
    const failed = checks.filter(({ ok, name: item }) => !ok && !(item === 'host' && pid !== null));
    if (failed.length > 0)
      return failed
        .filter(({ detail }) => detail !== problem?.detail)
        .map(({ detail, code }) => wrong(check, withoutName(name, detail), explanationOf(code)));
    // What a VM that runs needs of the host it has.
    const warnings = checks.filter(
      ({ name: item, detail }) => item === 'warning' && !(pid !== null && detail.startsWith(NOT_LOOKED_AT)),
    );
    if (warnings.length === 0)
      return [fine(check, pid === null ? 'would start' : `is ${state}, and would start again`)];
    return warnings.map(({ detail }) => warning(check, detail, remedyFor(name, detail)));
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return [wrong(check, error.message, page('errors.md'))];
  }
}

const NOT_LOOKED_AT = 'not looked at: ';

function remedyFor(vm: string, detail: string): string {
  if (detail.startsWith(NOT_LOOKED_AT)) return `only a start tells: vmsecretctl start ${vm}`;
  return page(detail.startsWith('key file ') ? 'secrets.md' : 'compatibility.md');
}

function explanationOf(code: string | null): string {
  return `${page('errors.md')} says what to do for ${code}`;
}

/** A finding names its VM already. */
function withoutName(name: string, detail: string): string {
  const own = [`VM ${name}: `, `VM ${name}, `].find(prefix => detail.startsWith(prefix));
  return own === undefined ? detail : detail.slice(own.length);
}
