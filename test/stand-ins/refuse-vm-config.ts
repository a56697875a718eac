// What the real program's JSON reader says of a VM config with a value of the wrong type, or undefined when it takes it.
// As the real one it quotes the value, ignores unknown keys and judges nothing else at vm.create.

const SERIAL_MODES = ['Off', 'Pty', 'Tty', 'File', 'Socket', 'Null'];

/** Of the real VmConfig only what tests send wrong; a shape is a type's name, a list of one, or an object of shapes. */
type Shape = 'u64' | 'a string' | 'serial mode' | readonly [Shape] | { readonly [key: string]: Shape };

const VM_CONFIG: Shape = {
  payload: { kernel: 'a string', initramfs: 'a string', cmdline: 'a string' },
  cpus: { boot_vcpus: 'u64', max_vcpus: 'u64' },
  memory: { size: 'u64' },
  serial: { mode: 'serial mode', socket: 'a string', file: 'a string' },
  console: { mode: 'serial mode' },
  platform: { oem_strings: ['a string'] },
};

export function refuseVmConfig(value: unknown): string | undefined {
  return findMismatch(value, VM_CONFIG);
}

function findMismatch(value: unknown, shape: Shape): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (shape === 'serial mode') {
    if (typeof value !== 'string') return mismatch(value, 'variant identifier');
    const variants = SERIAL_MODES.map(mode => `\`${mode}\``).join(', ');
    return SERIAL_MODES.includes(value)
      ? undefined
      : `unknown variant \`${value}\`, expected one of ${variants}`;
  }
  if (shape === 'a string') return typeof value === 'string' ? undefined : mismatch(value, shape);
  if (shape === 'u64') return Number.isInteger(value) ? undefined : mismatch(value, shape);
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return mismatch(value, 'a sequence');
    return value.map(element => findMismatch(element, shape[0])).find(Boolean);
  }
  if (typeof value !== 'object' || Array.isArray(value)) return mismatch(value, 'struct');
  return Object.entries(shape)
    .map(([key, inner]) => findMismatch((value as Record<string, unknown>)[key], inner))
    .find(Boolean);
}

function mismatch(value: unknown, expected: string): string {
  const found =
    typeof value === 'string'
      ? `string ${JSON.stringify(value)}`
      : typeof value === 'number'
        ? `integer \`${value}\``
        : typeof value === 'boolean'
          ? `boolean \`${value}\``
          : Array.isArray(value)
            ? 'sequence'
            : 'map';
  return `invalid type: ${found}, expected ${expected}`;
}
