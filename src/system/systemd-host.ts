import { stat } from 'node:fs/promises';
import { execa } from 'execa';

/** Whether systemd is PID 1 of this host, as sd_booted(3) tells. */
export function isSystemdHost(): Promise<boolean> {
  return stat('/run/systemd/system').then(
    found => found.isDirectory(),
    () => false,
  );
}

/** Whether systemd is shutting the host down. */
export async function isHostStopping(): Promise<boolean> {
  const { stdout } = await execa('systemctl', ['is-system-running'], { reject: false, stdin: 'ignore' });
  return stdout?.trim() === 'stopping';
}
