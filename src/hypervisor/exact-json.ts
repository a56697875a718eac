// JSON with every digit of its numbers: a VM config has some that a JavaScript number does not carry.

/** A bigint is a whole number beyond 2^53, which JSON carries and a JavaScript number does not. */
export type JsonValue = string | number | bigint | boolean | null | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  [key: string]: JsonValue | undefined;
}

const BIGINT_MARK = '\u0000bigint:';

/** As `JSON.stringify`, which throws on a bigint. */
export function stringifyExactly(json: JsonObject, indent = 0): string {
  let hasBigint = false;
  const markBigint = (_key: string, value: unknown) => {
    if (typeof value !== 'bigint') return value;
    hasBigint = true;
    return `${BIGINT_MARK}${value}`;
  };
  const text = JSON.stringify(json, markBigint, indent);
  return hasBigint ? text.replaceAll(/"\\u0000bigint:(-?\d+)"/g, '$1') : text;
}
