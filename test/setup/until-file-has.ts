// Waits for a growing file, a console's log say, to hold a text; rejects at the deadline with what it held.

import { readFileSync, watch } from 'node:fs';

/** The file must exist. Gives its content, as latin1. */
export function untilFileHas(path: string, text: string, options: { timeoutMs: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const read = () => readFileSync(path, 'latin1');
    // Watching begins before the first look, so that nothing is written in between.
    const watcher = watch(path, look);
    const deadline = setTimeout(() => {
      watcher.close();
      const held = JSON.stringify(read().slice(-500));
      reject(new Error(`${path} does not hold ${JSON.stringify(text)} but: ${held}`));
    }, options.timeoutMs);
    function look() {
      const content = read();
      if (!content.includes(text)) return;
      clearTimeout(deadline);
      watcher.close();
      resolve(content);
    }
    look();
  });
}
