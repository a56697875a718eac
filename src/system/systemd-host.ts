import { stat } from 'node:fs/promises';

/** Whether systemd is PID 1 of this host, as sd_booted(3) tells. */
export function isSystemdHost(): Promise<boolean> {
  return stat('/run/systemd/system').then(
    found => found.isDirectory(),
    () => false,
  );
}
