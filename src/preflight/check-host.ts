// What keeps a VM's host from running it, as its VMM's user will find it: the daemon's child, or a unit's main process.
import { VmsecretdError } from '../errors.js';
import type { HostReport } from '../hypervisor/host-needs.js';
import type { VmPlan } from '../hypervisor/hypervisor.js';
import { accessInUnit } from '../system/access-in-unit.js';
import type { Systemctl, UnitFacts } from '../system/systemctl.js';
import type { Vm } from '../vm/vm.js';
import type { HostClaims } from './conflicts.js';
import { describeSite, type SiteOptions } from './vmm-site.js';

export interface CheckHostTools extends Pick<SiteOptions, 'user' | 'group'> {
  hostClaims: HostClaims;
  systemctl: Pick<Systemctl, 'show'>;
}

export async function checkHost(
  vm: Vm,
  plan: VmPlan,
  { hostClaims, systemctl, user, group }: CheckHostTools,
): Promise<HostReport> {
  const problems: VmsecretdError[] = [];
  const { supervisor, unit: name } = vm.definition;
  let options: SiteOptions = { plan, user, group };
  if (supervisor === 'unit') {
    const unit = await showUnit(systemctl, vm).catch(error => {
      if (!(error instanceof VmsecretdError)) throw error;
      problems.push(error);
    });
    options = {
      ...options,
      unit: unit ?? undefined,
      accessInUnit: async wanted => (unit ? accessInUnit(name, wanted) : wanted.map(() => 'unknown')),
    };
  }
  const site = await describeSite(vm, options);
  const report = await hostClaims.check(plan.needs, site);
  return { ...report, problems: [...report.problems, ...problems] };
}

/** @throws VmsecretdError supervisor_failed: there is no such unit */
export async function showUnit(
  systemctl: Pick<Systemctl, 'show'>,
  { definition, name }: Vm,
): Promise<UnitFacts> {
  const { unit } = definition;
  const facts = await systemctl.show(unit);
  if (facts.loadState !== 'not-found') return facts;
  throw new VmsecretdError(
    'supervisor_failed',
    `VM ${name}: there is no unit ${unit}; install systemd/microvm@.service, or name another in "unit"`,
    { details: { vm: name, unit } },
  );
}
