// The error of a command line that cannot be converted: which option, which key, which value, what would be right.

import { VmsecretdError } from '../errors.js';

export interface CommandErrorDetails {
  flag?: string;
  key?: string;
  value?: string;
  /** The release of cloud-hypervisor that the line was read for, and the first that has what it lacks. */
  release?: string;
  since?: string;
}

export function commandInvalid(message: string, details: CommandErrorDetails = {}): VmsecretdError {
  const shortened = details.value === undefined ? {} : { value: shorten(details.value) };
  return new VmsecretdError('command_invalid', message, { details: { ...details, ...shortened } });
}

export const OTHER_BUILD_HINT =
  'belongs to other builds of cloud-hypervisor. Give the VM as "vmConfig" in its definition: that takes the JSON of any build.';

/** The value in double quotes, cut where it is long: it goes into messages and logs. */
export function quoteValue(value: string): string {
  return JSON.stringify(shorten(value));
}

const SHOWN_CHARACTERS = 60;

function shorten(value: string): string {
  return value.length <= SHOWN_CHARACTERS ? value : `${value.slice(0, SHOWN_CHARACTERS)}…`;
}
