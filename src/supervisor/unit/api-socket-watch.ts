// Tells which API sockets systemd makes: the units of their VMs are about to start.
import { lstat, watch } from 'node:fs';
import { join } from 'node:path';

/** @returns what ends it. Where the folder cannot be watched, nothing is told. */
export function watchApiSockets(folder: string, onMade: (vm: string) => void): () => void {
  try {
    const watcher = watch(folder, (_event, file) => {
      // One with a colon is no API socket, but stands beside it.
      const vm = /^([^:]+)\.sock$/.exec(file ?? '')?.[1];
      if (vm === undefined) return;
      // One that is removed is told of, too.
      lstat(join(folder, `${vm}.sock`), (error, stats) => {
        if (error === null && stats.isSocket()) onMade(vm);
      });
    });
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}
