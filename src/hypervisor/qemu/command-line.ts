// QEMU's own way of writing things down: which options take a value, and how commas in a value are written.

import { VmsecretdError } from '../../errors.js';
import { refuseWrapper } from '../wrapped-command.js';

/** An option as it was written, `--name` counting as `-name`; a disk image has a value and no name. */
export interface QemuOption {
  readonly name?: string;
  readonly value?: string;
}

/** Options of `qemu-system-* -help` (7.2 to 10) that take no value; all others take one, whatever it looks like. */
const OPTIONS_WITHOUT_VALUE = new Set(
  `-h -help -version -audio-help -mem-prealloc -snapshot -usb -nographic -curses -sdl -portrait -full-screen -alt-grab
   -ctrl-grab -no-quit -no-frame -win2k-hack -no-fd-bootchk -no-acpi -no-hpet -singlestep -one-insn-per-tb -preconfig -S
   -s -enable-kvm -no-kvm -xen-attach -xen-domid-restrict -no-reboot -no-shutdown -daemonize -only-migratable
   -nodefaults -no-user-config -nouserconfig -enable-sync-profile -enable-fips -async-teardown -old-param -semihosting`
    .split(/\s+/)
    .filter(Boolean),
);

/** Splits a qemu-system command line; a leading word without a dash is the program's path and is left out. */
export function splitQemuCommand(argv: readonly string[]): QemuOption[] {
  refuseWrapper(argv, name => /^(qemu-system-|qemu-kvm)/.test(name));
  const options: QemuOption[] = [];
  const words = argv[0]?.startsWith('-') === false ? argv.slice(1) : argv;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-') || word === '-') {
      options.push({ value: word });
      continue;
    }
    const name = word.replace(/^--/, '-');
    if (OPTIONS_WITHOUT_VALUE.has(name)) {
      options.push({ name });
      continue;
    }
    const value = words[++at];
    if (value === undefined) {
      throw new VmsecretdError(
        'command_invalid',
        `${word} is the last word of the command line and lacks its value, or is no option of QEMU's.`,
      );
    }
    options.push({ name, value });
  }
  return options;
}

export function joinQemuOptions(options: readonly QemuOption[]): string[] {
  return options.flatMap(({ name, value }) => [name, value].filter(word => word !== undefined));
}

/** Key and value pairs of `key=value,key=value`, where `,,` stands for a comma; the first key may be implied. */
export function parseQemuValue(value: string, impliedKey?: string): { key: string; value: string }[] {
  // A comma ends a part unless it is doubled: `a,,b,c` has the parts `a,b` and `c`.
  const parts = value.match(/(?:,,|[^,])+/g) ?? [];
  return parts.map((part, index) => {
    const [, key, text] = /^([^=,]*)=(.*)$/s.exec(part) ?? [];
    if (key !== undefined && text !== undefined) return { key, value: text.replaceAll(',,', ',') };
    const word = part.replaceAll(',,', ',');
    return index === 0 && impliedKey !== undefined
      ? { key: impliedKey, value: word }
      : { key: word, value: 'on' };
  });
}

/** A text as part of an option's value: each comma doubled. */
export function escapeQemuValue(text: string): string {
  return text.replaceAll(',', ',,');
}
