// What people see: tables, and one VM in detail.

import { styleText } from 'node:util';
import type { CheckAnswer, VmAnswer, VmListAnswer } from './answers.js';
import type { Look } from './context.js';
import { describeAge, describeDelay } from './time-spans.js';

type Colour = 'green' | 'yellow' | 'red';
/** Text, or text in a colour where colours are wanted. */
export type Cell = string | readonly [text: string, colour: Colour];

/** Columns as wide as their widest cell. */
export function renderTable(rows: readonly (readonly Cell[])[], colours = false): string {
  const texts = rows.map(row => row.map(cell => (typeof cell === 'string' ? cell : cell[0])));
  const widths: number[] = [];
  for (const row of texts) {
    for (const [column, text] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, text.length);
  }
  return rows
    .map((row, index) =>
      row
        .map((cell, column) => {
          const text = texts[index]?.[column] ?? '';
          const isLast = column === row.length - 1;
          const shown = typeof cell === 'string' || !colours ? text : styleText(cell[1], text);
          return isLast ? shown : shown + ' '.repeat((widths[column] ?? 0) - text.length);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A table with a heading. */
function renderHeaded(heading: readonly string[], rows: readonly (readonly Cell[])[], look: Look): string {
  return renderTable(look.headers ? [heading, ...rows] : rows, look.colours);
}

const STATE_COLOURS: Readonly<Partial<Record<string, Colour>>> = {
  running: 'green',
  failed: 'red',
  invalid: 'red',
  starting: 'yellow',
  stopping: 'yellow',
  paused: 'yellow',
};

export function paintState(state: string): Cell {
  const colour = STATE_COLOURS[state];
  return colour === undefined ? state : [state, colour];
}

const HEADING = ['NAME', 'STATE', 'READY', 'SUPERVISOR', 'PID', 'CREDENTIALS', 'UPTIME', 'VMM', 'NOTE'];

/** @param now for uptimes */
export function renderList(list: VmListAnswer, look: Look, now = new Date()): string {
  const rows = rowsOfList(list, now);
  if (rows.length === 0) return look.headers ? 'No VMs.' : '';
  return renderHeaded(HEADING, rows, look);
}

export function renderHosts(
  { hosts }: { hosts: readonly (VmListAnswer & { host: string })[] },
  look: Look,
  now = new Date(),
): string {
  const rows = hosts.flatMap(({ host, ...list }) =>
    rowsOfList(list, now).map((row): Cell[] => [host, ...row]),
  );
  return renderHeaded(['HOST', ...HEADING], rows, look);
}

function rowsOfList({ vms, problems }: VmListAnswer, now: Date): Cell[][] {
  const names = new Set(vms.map(({ name }) => name));
  const invalid = problems.filter(({ path }) => !names.has(nameOfFile(path)));
  return [
    ...vms.map((vm): Cell[] => [
      vm.name,
      paintState(vm.state),
      vm.ready ? 'yes' : vm.state === 'running' ? ['no', 'yellow'] : 'no',
      vm.supervisor,
      vm.pid === null ? '-' : String(vm.pid),
      String(vm.credentials.length),
      vm.startedAt === null ? '-' : describeAge(now, vm.startedAt),
      vmmOf(vm),
      noteOf(vm, problems, now),
    ]),
    ...invalid.map(({ path }): Cell[] => [
      nameOfFile(path),
      paintState('invalid'),
      ...HEADING.slice(3).map(() => '-'),
      `${path}; vmsecretctl reload says why`,
    ]),
  ];
}

const nameOfFile = (path: string) => path.slice(path.lastIndexOf('/') + 1).replace(/\.json$/, '');

const vmmOf = ({ hypervisor, hypervisorVersion }: VmAnswer) =>
  hypervisorVersion === null ? hypervisor : `${hypervisor} ${hypervisorVersion}`;

function noteOf(vm: VmAnswer, problems: VmListAnswer['problems'], now: Date): string {
  const notes = [
    ...(problems.some(({ path }) => nameOfFile(path) === vm.name)
      ? ['definition: vmsecretctl reload says more']
      : []),
    ...(vm.problem === null ? [] : [vm.problem.code]),
    ...(vm.nextAttemptAt === null ? [] : [`next attempt in ${describeDelay(now, vm.nextAttemptAt)}`]),
    ...(vm.outdated.length > 0 ? ['outdated'] : []),
    ...(vm.exposed ? ['exposed'] : []),
  ];
  return notes.join(', ') || '-';
}

export function renderVm(vm: VmAnswer, { colours }: Pick<Look, 'colours'>, now = new Date()): string {
  const state = paintState(vm.state);
  const rows: [string, Cell | null][] = [
    ['name', vm.name],
    ['state', vm.ready ? [`${vm.state}, ready`, 'green'] : state],
    ['problem', vm.problem === null ? null : `${vm.problem.detail} (${vm.problem.code}, ${vm.problem.at})`],
    [
      'next attempt',
      vm.nextAttemptAt === null ? null : `in ${describeDelay(now, vm.nextAttemptAt)}, ${vm.nextAttemptAt}`,
    ],
    ['outdated', vm.outdated.length === 0 ? null : vm.outdated.join(', ')],
    ['exposed', vm.exposed ? 'secrets are on the command line, readable by every user' : null],
    ['hypervisor', vmmOf(vm)],
    ['delivery', vm.delivery],
    ['supervisor', vm.unit ?? vm.supervisor],
    ['pid', vm.pid === null ? null : String(vm.pid)],
    ['started', vm.startedAt === null ? null : `${vm.startedAt}, ${describeAge(now, vm.startedAt)} ago`],
    ['guest says', vm.guestStatus],
    ['receipt', vm.receipt],
    ['refresh', renderRefresh(vm.refresh)],
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
    colours,
  );
  const credentials = vm.credentials.map(({ name, source, path, sizeBytes }) => [
    `  ${name}`,
    source,
    path ?? '-',
    sizeBytes === null ? '-' : `${sizeBytes} bytes`,
  ]);
  return credentials.length === 0 ? facts : `${facts}\ncredentials\n${renderTable(credentials)}`;
}

function renderRefresh(refresh: VmAnswer['refresh']): string | null {
  if (refresh === null) return null;
  const { at, credentials, problem } = refresh;
  return `${problem?.detail ?? (credentials.join(', ') || 'nothing was to be done')}, ${at}`;
}

export function renderChecks(report: CheckAnswer, { colours }: Pick<Look, 'colours'>): string {
  return renderTable(
    report.checks.map(({ name, ok, detail }): Cell[] =>
      name === 'warning'
        ? [['warning', 'yellow'], '', detail]
        : [ok ? ['ok', 'green'] : ['FAILED', 'red'], name, detail],
    ),
    colours,
  );
}
