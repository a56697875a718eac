// --console, --serial and --debug-console: where a console goes.

import type { JsonObject } from '../../exact-json.js';
import { portInHex } from '../option-numbers.js';
import type { KeyRule, OptionTable, ReadOption } from '../option-table.js';
import { text } from '../option-values.js';
import { IOMMU, keysSince, PCI_KEYS } from './pci-device.js';

/** Where several are given, the first of this order counts. */
const MODES = { off: 'Off', pty: 'Pty', tty: 'Tty', null: 'Null', file: 'File', socket: 'Socket' } as const;
type Mode = keyof typeof MODES;

const alone: KeyRule = { value: text, field: null, valueless: true };
const path: KeyRule = { value: text, field: null };
const DEBUG_CONSOLE_MODES = { off: alone, pty: alone, tty: alone, null: alone, file: path };
const CONSOLE_MODES = { ...DEBUG_CONSOLE_MODES, socket: path };

/** It was read as a virtio console before 52. */
export const serial: OptionTable = {
  keys: { ...CONSOLE_MODES, iommu: { ...IOMMU, until: 52_00 } },
  build: buildConsole,
};

export const virtioConsole: OptionTable = {
  keys: { ...CONSOLE_MODES, iommu: IOMMU, ...keysSince(52_00, PCI_KEYS) },
  build: buildConsole,
};

export const debugConsole: OptionTable = {
  keys: { ...DEBUG_CONSOLE_MODES, iobase: { value: portInHex } },
  build: buildConsole,
};

const MISSING_MODE =
  'a mode is missing: off, null, pty, tty or file=PATH. (The program itself says --console here, whichever it is.)';

function buildConsole({ fields, values, given, fail }: ReadOption): JsonObject {
  const mode = (Object.keys(MODES) as Mode[]).find(name => given.has(name));
  if (mode === undefined) return fail(MISSING_MODE);
  const place = mode === 'file' || mode === 'socket' ? mode : undefined;
  if (place !== undefined && values[place] === undefined) fail(`"${place}=" lacks its path.`, place);
  return { mode: MODES[mode], ...(place && { [place]: values[place] }), ...fields };
}
