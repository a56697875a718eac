// What a definition's own `vmConfig` must be where this project reads it; the VMM checks the rest.
import { Type } from 'typebox';
import { createJsonValidator, type FieldProblem } from '../json-validator.js';

const Text = Type.Optional(Type.String());
const Console = Type.Optional(Type.Object({ mode: Type.String(), file: Text, socket: Text }));

const VmConfigSchema = Type.Object({
  payload: Type.Optional(Type.Object({ kernel: Text, firmware: Text, initramfs: Text })),
  platform: Type.Optional(Type.Object({ oem_strings: Type.Optional(Type.Array(Type.String())) })),
  serial: Console,
  console: Console,
  vsock: Type.Optional(Type.Object({ cid: Type.Integer(), socket: Type.String() })),
  disks: Type.Optional(Type.Array(Type.Object({ path: Text, readonly: Type.Optional(Type.Boolean()) }))),
  net: Type.Optional(Type.Array(Type.Object({ tap: Text, mac: Text }))),
});

const findSchemaProblems = createJsonValidator(VmConfigSchema);

/** Each with the field's path within the VM config. */
export function findVmConfigProblems(vmConfig: Readonly<Record<string, unknown>>): FieldProblem[] {
  return [...findSchemaProblems(vmConfig), ...findRoundedNumbers(vmConfig, [])];
}

/** As the VMM understands it, which takes `null` for a key that is not there: what `vm.info` prints can be given back. */
export function withoutNulls<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutNulls) as Value;
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(kept.map(([key, member]) => [key, withoutNulls(member)])) as Value;
}

/** JSON.parse has rounded them, and the VM would get another number than the file says. */
function findRoundedNumbers(value: unknown, path: readonly string[]): FieldProblem[] {
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    const message = 'is beyond 2^53, where numbers of JSON lose digits: give the VM as `command` instead';
    return [{ field: path.join('.'), message }];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => findRoundedNumbers(member, [...path, key]));
}
