// The releases of cloud-hypervisor. Options and keys came, went and were renamed with them, and no release refuses a key of a
// VM config that it does not know: what is written for another release is dropped without a word.

import { commandInvalid } from '../../definition/command-error.js';

/** A release as one number, so that releases compare: 50_01 is 50.1. */
export type Release = number;

/** Added to a release for what the main branch has after it, and no release yet. */
const AFTER_RELEASE = 99;

/** The main branch after 53.0, as of August 2026; what it has, 54.0 has, too. */
export const MAIN_AFTER_53: Release = 53_00 + AFTER_RELEASE;

/** What is taken for a program whose version cannot be read. */
export const REFERENCE_RELEASE: Release = 53_00;

/**
 * Reads `52`, `52.0`, `v52.0.0` and what `git describe` makes of a build from a repository, such as
 * `v53.0-246-gae44c2971-dirty`, which is main after 53.0; `54-dev` names that as well. Commits on top of a point release are a
 * stable branch's.
 */
export function parseRelease(text: string): Release | undefined {
  const [, major, minor, commits, dev] =
    /^v?(\d{1,4})(?:\.(\d{1,2}))?(?:\.\d+)?(?:-(\d+)-g[0-9a-f]+|-(dev))?(?:-|$)/.exec(text) ?? [];
  if (major === undefined) return undefined;
  if (dev !== undefined) return (Number(major) - 1) * 100 + AFTER_RELEASE;
  const release = Number(major) * 100 + Number(minor ?? 0);
  return commits !== undefined && Number(commits) > 0 && Number(minor) === 0
    ? release + AFTER_RELEASE
    : release;
}

/** The same from the lines that `PROGRAM --version` prints. */
export function findRelease(versionText: string): Release | undefined {
  const version = /\bv\d\S*/.exec(versionText)?.[0];
  return version === undefined ? undefined : parseRelease(version);
}

/** `52.0`, `50.1`, and `54-dev` for main after 53.0. */
export function nameRelease(release: Release): string {
  const minor = release % 100;
  const major = Math.floor(release / 100);
  return minor === AFTER_RELEASE ? `${major + 1}-dev` : `${major}.${minor}`;
}

/** When something is there. */
export interface Lifetime {
  /** The first release that has it. */
  readonly since?: Release;
  /** The first release that has it no more. */
  readonly until?: Release;
}

export function isThere(
  { since = 0, until = Number.POSITIVE_INFINITY }: Lifetime,
  release: Release,
): boolean {
  return since <= release && release < until;
}

/** @param subject what it is of, such as `--disk: "sparse="` @param instead what this release has in its place */
export function notInRelease(
  subject: string,
  { since, until }: Lifetime,
  release: Release,
  details: { flag: string; key?: string },
  instead?: string,
): Error {
  const isGone = until !== undefined && release >= until;
  const when = isGone ? `up to ${nameRelease(until - 1_00)}` : `from ${nameFirst(since)} on`;
  const fix = instead ?? (isGone ? 'leave it out' : `leave it out, or install ${nameFirst(since)} or later`);
  return commandInvalid(
    `${subject} is there in cloud-hypervisor ${when}, and this is ${nameRelease(release)}: ${fix}.`,
    { ...details, release: nameRelease(release), ...(isGone ? {} : { since: nameFirst(since) }) },
  );
}

/** The release that people can install: what main has after 53.0 is in 54.0. */
export function nameFirst(since = 0): string {
  return nameRelease(since % 100 === AFTER_RELEASE ? since + 1 : since);
}
