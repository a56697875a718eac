// The option `--for RELEASE` of both programs.
import { InvalidArgumentError } from 'commander';
import { parseRelease, type Release } from './hypervisor/conversion.js';

export const FOR_RELEASE = '--for <release>';
export const FOR_RELEASE_HELP = 'of cloud-hypervisor, such as 52.0; the one on PATH unless given, or 53.0';

/** @throws InvalidArgumentError */
export function readReleaseOption(text: string): Release {
  const release = parseRelease(text);
  if (release === undefined) throw new InvalidArgumentError('Write 52, 52.0 or 54-dev.');
  return release;
}
