// Finds files that belong together, such as a certificate and its key, in one generation of the folder that they stand in:
// agenix, sops-nix and others make a new folder and swap a link to it, and remove the old one.
import { closeSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { haveLinksMoved, type LinkTargets, openTrustedPlace, type Trust } from './trusted-path.js';

/** The place of a file, which stays the same file whatever becomes of its path; or why there is none. */
export type FoundPlace = { descriptor: number } | { error: unknown };

/** A generation that is removed while it is looked at is found to be gone; the next is there. */
const ATTEMPTS = 20;
const PAUSE_MS = 1;

/** As root with what it asks of a path, `links` unless given; somebody else reads what they may. */
export function findPlace(
  path: string,
  { trust = 'links', links }: { trust?: Trust | undefined; links?: LinkTargets } = {},
): FoundPlace {
  try {
    const isRoot = process.geteuid?.() === 0;
    return { descriptor: openTrustedPlace(resolve(path), isRoot ? trust : undefined, links) };
  } catch (error) {
    return { error };
  }
}

export function closePlace(place: FoundPlace): void {
  if ('descriptor' in place) closeSync(place.descriptor);
}

/** All of them through the same links, at one moment. The caller closes the places. */
export async function findTogether(paths: readonly string[]): Promise<Map<string, FoundPlace>> {
  for (let attempt = 1; ; attempt += 1) {
    const links: LinkTargets = new Map();
    const places = new Map(paths.map(path => [path, findPlace(path, { links })]));
    const isIncomplete = [...places.values()].some(place => 'error' in place);
    if (!isIncomplete || attempt === ATTEMPTS || !haveLinksMoved(links)) return places;
    for (const place of places.values()) closePlace(place);
    await delay(PAUSE_MS);
  }
}
