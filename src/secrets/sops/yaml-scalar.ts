// What a plain YAML scalar means to sops, whose parser is go-yaml: a mixture of YAML 1.1 and 1.2. Only values that sops left
// unencrypted are read so; it wrote them itself, in the forms that are first here.
import { formatFloat } from './format-float.js';
import type { Value, ValueType } from './tree.js';

const NULLS = /^(?:|~|null|Null|NULL)$/;
const BOOLS = /^(?:(true|True|TRUE)|false|False|FALSE)$/;
const DECIMAL = /^[-+]?(?:0|[1-9]\d*)$/;
const OTHER_INTEGER = /^([-+]?)0(?:([xX])([0-9a-fA-F]+)|([bB])([01]+)|[oO]?([0-7]+))$/;
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;
const SPECIAL = /^([-+]?)(?:\.inf|\.Inf|\.INF)$|^(?:\.nan|\.NaN|\.NAN)$/;
const DATE = /^(\d{4})-(\d\d?)-(\d\d?)$/;
const TIME =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt](\d\d?):(\d\d?):(\d\d?)(\.\d+)?(Z|[-+]\d\d:\d\d)| (\d\d?):(\d\d?):(\d\d?)(\.\d+)?)$/;

export function readPlainScalar(source: string): Value {
  const digits = source.replaceAll('_', '');
  const value = (type: ValueType, text: string): Value => ({ kind: 'value', type, text });
  if (NULLS.test(source)) return value('null', '');
  const bool = BOOLS.exec(source);
  if (bool !== null) return value('bool', bool[1] === undefined ? 'False' : 'True');
  const special = SPECIAL.exec(source);
  if (special !== null)
    return value('float', special[1] === undefined ? 'NaN' : special[1] === '-' ? '-Inf' : '+Inf');
  const time = readTime(source);
  if (time !== undefined) return value('time', time);
  // Who begins with a digit or a sign may be a number; "_1" is none.
  if (!/^[-+.\d]/.test(source)) return value('str', source);
  if (DECIMAL.test(digits)) return value('int', String(BigInt(digits)));
  const integer = OTHER_INTEGER.exec(digits);
  if (integer !== null) return value('int', readInteger(integer));
  return FLOAT.test(digits) ? value('float', formatFloat(Number(digits))) : value('str', source);
}

function readInteger([, sign, isHex, hex, isBinary, binary, octal]: RegExpExecArray): string {
  const amount = BigInt(isHex ? `0x${hex}` : isBinary ? `0b${binary}` : `0o${octal}`);
  return String(sign === '-' ? -amount : amount);
}

/** RFC 3339, as sops hashes a time. */
function readTime(source: string): string | undefined {
  const pad = (part: string | undefined) => part?.padStart(2, '0');
  const date = DATE.exec(source);
  if (date !== null) return `${date[1]}-${pad(date[2])}-${pad(date[3])}T00:00:00Z`;
  const time = TIME.exec(source);
  if (time === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone, ...withoutZone] = time;
  const [otherHour, otherMinute, otherSecond, otherFraction] = withoutZone;
  const clock = [hour ?? otherHour, minute ?? otherMinute, second ?? otherSecond].map(pad).join(':');
  const parts = (fraction ?? otherFraction ?? '').replace(/\.?0+$/, '');
  return `${year}-${pad(month)}-${pad(day)}T${clock}${parts}${zone === undefined || zone === '+00:00' ? 'Z' : zone}`;
}
