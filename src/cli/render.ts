// What people see: tables, and one VM in detail.
import type { CheckReport } from '../preflight/check-vm.js';
import type { VmView } from '../vm/vm.js';

export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function renderList(vms: readonly VmView[]): string {
  if (vms.length === 0) return 'No VMs are defined.';
  return renderTable([
    ['NAME', 'STATE', 'READY', 'SUPERVISOR', 'PID', 'CREDENTIALS', 'NOTE'],
    ...vms.map(vm => [
      vm.name,
      vm.state,
      vm.ready ? 'yes' : 'no',
      vm.supervisor,
      vm.pid === null ? '-' : String(vm.pid),
      String(vm.credentials.length),
      noteOf(vm),
    ]),
  ]);
}

function noteOf(vm: VmView): string {
  if (vm.problem !== null) return vm.problem.code;
  if (vm.outdated.length > 0) return 'outdated';
  return vm.exposed ? 'exposed' : '';
}

export function renderVm(vm: VmView): string {
  const rows: [string, string | null][] = [
    ['name', vm.name],
    ['state', vm.state + (vm.ready ? ', ready' : '')],
    ['problem', vm.problem === null ? null : `${vm.problem.detail} (${vm.problem.code}, ${vm.problem.at})`],
    ['outdated', vm.outdated.length === 0 ? null : vm.outdated.join(', ')],
    ['exposed', vm.exposed ? 'secrets are on the command line, readable by every user' : null],
    ['hypervisor', `${vm.hypervisor} ${vm.hypervisorVersion ?? ''}`.trimEnd()],
    ['delivery', vm.delivery],
    ['supervisor', vm.unit ?? vm.supervisor],
    ['pid', vm.pid === null ? null : String(vm.pid)],
    ['started', vm.startedAt],
    ['guest says', vm.guestStatus],
    ['receipt', vm.receipt],
    ['restarts', String(vm.restarts)],
    [
      'last exit',
      vm.lastExit === null
        ? null
        : `${vm.lastExit.signal ?? `status ${vm.lastExit.status}`}, ${vm.lastExit.at}`,
    ],
    ['definition', vm.origin],
  ];
  const facts = renderTable(
    rows.filter(([, value]) => value !== null).map(([key, value]) => [key, value ?? '']),
  );
  const credentials = vm.credentials.map(({ name, source, path, sizeBytes }) => [
    `  ${name}`,
    source,
    path ?? '',
    sizeBytes === null ? '' : `${sizeBytes} bytes`,
  ]);
  return credentials.length === 0 ? facts : `${facts}\ncredentials\n${renderTable(credentials)}`;
}

export function renderChecks(report: CheckReport): string {
  return renderTable(
    report.checks.map(({ name, ok, detail }) =>
      name === 'warning' ? [name, '', detail] : [ok ? 'ok' : 'FAILED', name, detail],
    ),
  );
}
