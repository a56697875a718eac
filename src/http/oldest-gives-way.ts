// So many at once, and no more: of connections that have not asked yet, of those who follow a console.
import type { Readable } from 'node:stream';

/** Among those that are there until they close; past the limit the oldest is destroyed. */
export function admit(members: Set<Readable>, newest: Readable, limit: number): void {
  members.add(newest);
  newest.once('close', () => members.delete(newest));
  const [oldest] = members;
  if (oldest === undefined || members.size <= limit) return;
  // Not with its end, which may come later than the next.
  members.delete(oldest);
  oldest.destroy();
}
