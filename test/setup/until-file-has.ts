// Waits for a growing file, a console's log say, to hold a text; rejects at the deadline with what it held.

import { readFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';

/** The file must exist. Gives its content, as latin1. */
export async function untilFileHas(
  path: string,
  text: string,
  options: { timeoutMs: number },
): Promise<string> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  const read = () => readFileSync(path, 'latin1');
  try {
    // Watching begins with `next`, so that nothing is written between the look and the watch.
    const changes = watch(path, { signal })[Symbol.asyncIterator]();
    for (let change = changes.next(); ; change = changes.next()) {
      const content = read();
      if (content.includes(text)) {
        change.catch(() => {});
        await changes.return?.();
        return content;
      }
      await change;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error(
      `${path} does not hold ${JSON.stringify(text)} but: ${JSON.stringify(read().slice(-500))}`,
    );
  }
}
