// What a qemu-system command line needs of the host.
import type { HostClaim, HostNeeds } from '../host-needs.js';
import { parseQemuValue, type QemuOption, splitQemuCommand } from './command-line.js';

type Pairs = ReturnType<typeof parseQemuValue>;

/** Options with a disk image as their whole value. */
const IMAGE_OPTIONS = new Set(['-hda', '-hdb', '-hdc', '-hdd', '-pflash']);

export function qemuNeeds(argv: readonly string[]): HostNeeds {
  const options = splitQemuCommand(argv);
  const discardsWrites = options.some(({ name }) => name === '-snapshot');
  const disks = options.flatMap(readDisk);
  const networks = options.flatMap(readNetwork);
  const devices = valuesOf(options, '-device').map(value => parseQemuValue(value, 'driver'));
  const kernel = valuesOf(options, '-kernel').map(path => ({ what: 'kernel', path }));
  const initramfs = valuesOf(options, '-initrd').map(path => ({ what: 'initramfs', path }));
  return {
    claims: [
      ...devices.flatMap(pairs => claim('vsock CID', sameNumber(find(pairs, 'guest-cid')))),
      ...[...devices, ...networks].flatMap(pairs =>
        claim('MAC address', (find(pairs, 'mac') ?? find(pairs, 'macaddr'))?.toLowerCase()),
      ),
      ...networks.flatMap(pairs => claim('tap', find(pairs, 'ifname'))),
      ...networks.flatMap(pairs => pairs.filter(({ key }) => key === 'hostfwd').flatMap(readForward)),
      ...disks.map(
        ({ path, readOnly }): HostClaim => ({
          kind: 'disk image',
          value: path,
          shared: readOnly || discardsWrites,
        }),
      ),
    ],
    files: [
      ...kernel,
      ...initramfs,
      ...disks.map(({ path, readOnly }) => ({
        what: 'disk image',
        path,
        ...(readOnly || discardsWrites ? {} : { isWritten: true }),
      })),
    ],
    sockets: [],
    outputs: [],
    needsKvm: needsKvm(options),
    memory: valuesOf(options, '-m').slice(-1).flatMap(readMemory),
  };
}

/** In MiB unless it has a suffix. */
function readMemory(value: string): { bytes: number }[] {
  const size = find(parseQemuValue(value, 'size'), 'size');
  const [, digits, suffix = ''] = /^(\d+)([kmgt]?)b?$/i.exec(size ?? '') ?? [];
  if (digits === undefined) return [];
  return [{ bytes: Number(digits) * 1024 ** ('kmgt'.indexOf(suffix.toLowerCase() || 'm') + 1) }];
}

/** Whether KVM is its only accelerator; QEMU tries those of a list in turn. */
function needsKvm(options: readonly QemuOption[]): boolean {
  if (options.some(({ name }) => name === '-enable-kvm')) return true;
  const accelerators = [
    ...valuesOf(options, '-accel').flatMap(value => find(parseQemuValue(value, 'accel'), 'accel') ?? []),
    ...['-machine', '-M'].flatMap(name =>
      valuesOf(options, name).flatMap(
        value => find(parseQemuValue(value, 'type'), 'accel')?.split(':') ?? [],
      ),
    ),
  ];
  return accelerators.length > 0 && accelerators.every(accelerator => accelerator === 'kvm');
}

function readDisk({ name, value }: QemuOption): { path: string; readOnly: boolean }[] {
  if (value === undefined) return [];
  if (name === undefined || IMAGE_OPTIONS.has(name)) return localImage(value, false);
  if (name === '-cdrom') return localImage(value, true);
  if (name !== '-drive' && name !== '-blockdev') return [];
  // A blockdev in JSON is for programs that know what they do.
  if (value.startsWith('{')) return [];
  const pairs = parseQemuValue(value);
  const isOn = (key: string) => ['on', 'yes', 'true'].includes(find(pairs, key) ?? '');
  const readOnly =
    isOn('readonly') || isOn('read-only') || isOn('snapshot') || find(pairs, 'media') === 'cdrom';
  return localImage(find(pairs, name === '-drive' ? 'file' : 'filename') ?? '', readOnly);
}

/** `nbd://…`, `json:…` and the like name no file. */
function localImage(path: string, readOnly: boolean): { path: string; readOnly: boolean }[] {
  const file = path.replace(/^file:/, '');
  return file === '' || /^[a-z][a-z0-9+.-]*:/.test(file) ? [] : [{ path: file, readOnly }];
}

function readNetwork({ name, value = '' }: QemuOption): Pairs[] {
  return name === '-netdev' || name === '-nic' ? [parseQemuValue(value, 'type')] : [];
}

/** `tcp:127.0.0.1:8080-:80`; protocol and address may be left out. */
function readForward({ value }: { value: string }): HostClaim[] {
  const [, protocol, address, port] = /^(tcp|udp)?:([^:]*):(\d+)-/.exec(value) ?? [];
  if (port === undefined) return [];
  return claim('port', `${protocol ?? 'tcp'} ${address || '0.0.0.0'}:${port}`);
}

function valuesOf(options: readonly QemuOption[], name: string): string[] {
  return options.flatMap(option =>
    option.name === name && option.value !== undefined ? [option.value] : [],
  );
}

function find(pairs: Pairs, wanted: string): string | undefined {
  return pairs.findLast(({ key }) => key === wanted)?.value;
}

/** The kernel's vhost-vsock has one number space for the whole host; QEMU reads 0x3 and 3 alike. */
function sameNumber(text: string | undefined): string | undefined {
  return text === undefined || text === '' || Number.isNaN(Number(text)) ? text : String(Number(text));
}

function claim(kind: HostClaim['kind'], value: string | undefined): HostClaim[] {
  return value === undefined ? [] : [{ kind, value, shared: false }];
}
