// Whether each socket is for those it is meant for.
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemErrorCode } from '../../errors.js';
import { type Finding, fine, wrong } from './finding.js';

/** Bits that must be there, and bits that must not. */
const MODES = [
  { file: 'admin.sock', needed: 0o600, forbidden: 0o077 },
  { file: 'vmsecretd.sock', needed: 0o660, forbidden: 0o007 },
  { file: 'launch.sock', needed: 0o666, forbidden: 0 },
];

export function checkSockets(socketPath: string): Promise<Finding[]> {
  const folder = dirname(socketPath);
  return Promise.all(
    MODES.map(async ({ file, needed, forbidden }) => {
      const check = `socket ${file}`;
      const path = join(folder, file);
      const expected = needed.toString(8);
      try {
        const mode = (await stat(path)).mode & 0o777;
        if ((mode & needed) === needed && (mode & forbidden) === 0) return fine(check, `mode ${expected}`);
        return wrong(
          check,
          `${path} has mode ${mode.toString(8)}, not ${expected}`,
          `chmod ${expected} ${path}`,
        );
      } catch (error) {
        const code = systemErrorCode(error) ?? 'unknown error';
        return wrong(check, `${path} cannot be looked at (${code})`, 'systemctl restart vmsecretd');
      }
    }),
  );
}
