// What is wrong with a definition's own `vmConfig`, and how it is read.
import { createJsonValidator, type FieldProblem } from '../json-validator.js';
import { VmConfigSchema } from './vm-config-schema.js';

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
