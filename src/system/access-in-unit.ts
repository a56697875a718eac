// What the processes of a unit may do with files, tried in a unit that systemd makes for the question: with the same user, groups,
// folders and devices. The daemon itself may become nobody else.
import { execa } from 'execa';
import { ACCESS_SCRIPT, type Access, accessWords, readAccess, type WantedAccess } from './access-as.js';
import { requireExecuted } from './host-programs.js';

/** Settings that decide it, and may be given as systemctl shows them. */
const SAME = [
  'User',
  'Group',
  'SupplementaryGroups',
  'DynamicUser',
  'ProtectHome',
  'ProtectSystem',
  'TemporaryFileSystem',
  'PrivateDevices',
  'DevicePolicy',
  'DeviceAllow',
];
/** Lists of paths: what is not there yet is passed over. */
const PATHS = ['ReadWritePaths', 'ReadOnlyPaths', 'InaccessiblePaths', 'BindPaths', 'BindReadOnlyPaths'];
/** Folders that systemd makes for the unit before it starts, and gives to its user. */
const OWN = {
  RuntimeDirectory: '/run',
  StateDirectory: '/var/lib',
  CacheDirectory: '/var/cache',
  LogsDirectory: '/var/log',
};
/** With one of these the unit has another view of files altogether. */
const ELSEWHERE = ['RootDirectory', 'RootImage'];

const TIMEOUT_SECONDS = 10;

/** @returns in the order of what is wanted; `unknown` for what only a start of the unit tells */
export async function accessInUnit(unit: string, wanted: readonly WantedAccess[]): Promise<Access[]> {
  const unknown = wanted.map((): Access => 'unknown');
  const names = [...SAME, ...PATHS, ...Object.keys(OWN), ...ELSEWHERE].join(',');
  const shown = await run('systemctl', ['show', '--property', names, '--', unit]);
  const settings = shown?.split('\n').map(splitSetting) ?? [];
  const valuesOf = (name: string) =>
    settings.flatMap(([key, value]) => (key === name && value ? [value] : []));
  if (shown === undefined || ELSEWHERE.some(name => valuesOf(name).length > 0)) return unknown;
  const own = Object.entries(OWN).flatMap(([name, root]) =>
    valuesOf(name).flatMap(value => value.split(' ').map(folder => `${root}/${folder}`)),
  );
  const properties = [
    ...SAME.flatMap(name => valuesOf(name).map(value => `${name}=${value}`)),
    ...PATHS.flatMap(name =>
      valuesOf(name).map(value => `${name}=${value.split(' ').map(optional).join(' ')}`),
    ),
    ...own.map(folder => `ReadWritePaths=-${folder}`),
    `RuntimeMaxSec=${TIMEOUT_SECONDS}`,
    `Description=looks at files as ${unit}`,
  ];
  const told = await run('systemd-run', [
    ...['--quiet', '--pipe', '--wait', '--collect', '--no-ask-password', '--service-type=exec'],
    ...properties.flatMap(property => ['--property', property]),
    ...['--', '/bin/sh', '-c', ACCESS_SCRIPT, 'sh', ...accessWords(wanted)],
  ]);
  const isOwn = (path: string) => own.some(folder => path === folder || path.startsWith(`${folder}/`));
  return readAccess(told, wanted).map((answer, index) =>
    answer === 'refused' && isOwn(wanted[index]?.path ?? '') ? 'unknown' : answer,
  );
}

async function run(
  program: 'systemctl' | 'systemd-run',
  args: readonly string[],
): Promise<string | undefined> {
  const timeout = TIMEOUT_SECONDS * 1000;
  const result = await execa(program, args, {
    reject: false,
    stdin: 'ignore',
    env: { LC_ALL: 'C' },
    timeout,
  });
  requireExecuted(program, result);
  return result.failed ? undefined : result.stdout;
}

function splitSetting(line: string): [name: string, value: string] {
  const equals = line.indexOf('=');
  return [line.slice(0, equals), line.slice(equals + 1)];
}

function optional(path: string): string {
  return path.startsWith('-') ? path : `-${path}`;
}
