// The data key of a sops file, by the identities at hand: all of it from one group of keys, or a share from each of several.
import { AgeFileError, type AgeFileProblem, type AgeIdentity } from '../age-identity.js';
import { decryptAgeFile } from '../decrypt.js';
import { combineShares } from './shamir.js';
import { SopsFileError } from './sops-file-error.js';
import type { AgeEntry, KeyGroup, SopsMetadata } from './sops-metadata.js';

const DATA_KEY_BYTES = 32;

/** @returns the key, which the caller wipes. @throws SopsFileError, AgeFileError */
export async function openDataKey(
  { groups, threshold }: SopsMetadata,
  identities: readonly AgeIdentity[],
): Promise<Buffer> {
  requireAge(groups, threshold);
  const shares: Buffer[] = [];
  const failures: AgeFileError[] = [];
  try {
    for (const { age } of groups) {
      const opened = await openShare(age, identities);
      if (Buffer.isBuffer(opened)) shares.push(opened);
      else failures.push(...opened);
    }
    if (shares.length < threshold || shares.length === 0)
      throw explainFailures(failures, groups, { threshold, shares });
    const key = groups.length === 1 ? Buffer.from(shares[0] ?? '') : combineShares(shares);
    if (key.length === DATA_KEY_BYTES) return key;
    throw new SopsFileError(
      'secret_corrupt',
      `does not open: its data key has ${key.length} bytes and not ${DATA_KEY_BYTES}`,
    );
  } finally {
    for (const share of shares) share.fill(0);
  }
}

/** One that takes bcrypt's time, or runs a program, is asked once no other opens any of the files. */
async function openShare(
  entries: readonly AgeEntry[],
  identities: readonly AgeIdentity[],
): Promise<Buffer | AgeFileError[]> {
  const costly = identities.filter(({ isCostly }) => isCostly);
  const rounds = [identities.filter(({ isCostly }) => !isCostly), ...(costly.length > 0 ? [costly] : [])];
  let failures: AgeFileError[] = [];
  for (const tried of rounds) {
    failures = [];
    for (const { file } of entries) {
      try {
        return await decryptAgeFile(Buffer.from(file), tried);
      } catch (error) {
        if (!(error instanceof AgeFileError)) throw error;
        failures.push(error);
      }
    }
  }
  return failures;
}

function requireAge(groups: readonly KeyGroup[], threshold: number): void {
  if (groups.filter(({ age }) => age.length > 0).length >= Math.max(threshold, 1)) return;
  const others = [...new Set(groups.flatMap(group => group.others))];
  if (others.length === 0)
    throw new SopsFileError('secret_corrupt', 'does not open: it names nobody who can open its data key');
  const needs = groups.length > 1 ? ` (it needs ${threshold} of ${groups.length} key groups)` : '';
  throw new SopsFileError(
    'secret_no_identity',
    `does not open: its data key is encrypted with ${others.join(' and ')}, which vmsecretd does not ask${needs}. Add an age recipient of this host: sops rotate -i --add-age RECIPIENT FILE`,
  );
}

/** A locked key says more than that the others are not for the file. */
const TELLING: readonly AgeFileProblem[] = ['key_locked', 'plugin_failed', 'passphrase', 'no_match'];

function explainFailures(
  failures: readonly AgeFileError[],
  groups: readonly KeyGroup[],
  { threshold, shares }: { threshold: number; shares: readonly Buffer[] },
): AgeFileError {
  const problem = TELLING.find(kind => failures.some(failure => failure.problem === kind));
  const recipientTypes = groups
    .flatMap(({ age }) => age.map(({ recipient }) => recipient))
    .filter(isRecipient);
  const missing =
    groups.length > 1
      ? `${shares.length} of ${groups.length} key groups open, and it needs ${threshold}; `
      : '';
  const of = failures.find(failure => failure.problem === (problem ?? failure.problem));
  if (problem === undefined || problem === 'no_match') {
    return new AgeFileError(
      problem ?? of?.problem ?? 'header',
      `${missing}${problem === undefined ? `its data key: ${of?.message}` : 'its data key is encrypted to other keys'}`,
      {
        recipientTypes,
        advice:
          problem && 'add a recipient of this host with sops updatekeys, or the right key to "identities"',
      },
    );
  }
  return new AgeFileError(problem, `${missing}${of?.message}`, { recipientTypes });
}

/** It is shown: a public key, and nothing that somebody put in its place. */
const isRecipient = (text: string) => /^(?:age1[a-z0-9]+|ssh-[a-z0-9]+ [A-Za-z0-9+/=]+)(?: .*)?$/.test(text);
