// What a guest's systemd says of itself (sd_notify(3)), from a guest that is not trusted.
import { printable } from '../system/printable.js';

export interface NotifyMessage {
  ready: boolean;
  stopping: boolean;
  status: string | undefined;
  /** A positive errno, where the guest tells one. */
  errno: number | undefined;
}

/** One message has a few short lines; what is longer is cut. */
export const NOTIFY_LIMIT_BYTES = 4_096;

const STATUS_LIMIT = 200;

const shownStatus = (status: string | undefined) =>
  status === undefined ? undefined : printable(status).slice(0, STATUS_LIMIT);

export function parseNotifyMessage(bytes: Buffer): NotifyMessage {
  const lines = bytes.toString('utf8', 0, NOTIFY_LIMIT_BYTES).split('\n');
  const value = (key: string) => lines.findLast(line => line.startsWith(`${key}=`))?.slice(key.length + 1);
  const errno = value('ERRNO');
  return {
    ready: lines.includes('READY=1'),
    stopping: lines.includes('STOPPING=1'),
    status: shownStatus(value('STATUS')),
    errno: errno !== undefined && /^[1-9]\d{0,4}$/.test(errno) ? Number(errno) : undefined,
  };
}

/** What systemd of a guest says as it ends, where it was told one: `systemctl exit 3`. @returns 0 to 255 */
export function parseExitStatus(bytes: Buffer): number | undefined {
  const [, digits] = /^EXIT_STATUS=(\d{1,3})$/m.exec(bytes.toString('utf8', 0, NOTIFY_LIMIT_BYTES)) ?? [];
  const status = Number(digits);
  return status <= 255 ? status : undefined;
}
