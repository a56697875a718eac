// What a guest asks for on its credentials channel, and how it is answered (docs/on-demand.md). The guest is not trusted.

/** A guest that cannot say so is told nothing more. */
export const REFUSAL_CODES = ['invalid', 'unknown', 'unavailable'] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

export interface CredentialRequest {
  /** The guest's own, to tell an answer from the rest of an earlier one. */
  id: string;
  /** Of the guest that asks; undefined where it is no unit. */
  unit: string | undefined;
  name: string;
}

/** Blanks may be part of a name, which ends the line. */
const REQUEST = /^VMSECRETD_GET=1 ([0-9A-Za-z-]{16,64}) ([A-Za-z0-9:_.\\@-]{1,255}) ([\x20-\x7e]{1,255})$/;

/** @returns undefined for what is no request */
export function parseRequest(line: string): CredentialRequest | undefined {
  const [, id, unit, name] = REQUEST.exec(line) ?? [];
  if (id === undefined || unit === undefined || name === undefined) return undefined;
  return { id, unit: unit === '-' ? undefined : unit, name };
}

/** Bytes of the value in a line of base64: 1,020 characters of it. */
const LINE_BYTES = 765;

/** The lines of an answer, the last one excepted each with a part of the value. */
export function* answerLines(id: string, value: Buffer): Generator<string> {
  yield `VMSECRETD_VALUE=1 ${id} ${value.length}\n`;
  for (let at = 0; at < value.length; at += LINE_BYTES)
    yield `${value.subarray(at, at + LINE_BYTES).toString('base64')}\n`;
  yield `VMSECRETD_END=${id}\n`;
}

export function refusalLine(id: string, code: RefusalCode): string {
  return `VMSECRETD_ERROR=1 ${id} ${code}\n`;
}
