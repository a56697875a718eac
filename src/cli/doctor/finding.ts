// What one check found, and the fix.
import { fileURLToPath } from 'node:url';
import { PACKAGE_ROOT } from '../../package-root.js';

export interface Finding {
  check: string;
  /** `wrong` keeps something from working or tells secrets; `warning` may be meant so. */
  level: 'ok' | 'warning' | 'wrong';
  detail: string;
  /** What to do; null where nothing is. */
  fix: string | null;
}

export const fine = (check: string, detail: string): Finding => ({ check, level: 'ok', detail, fix: null });
export const warning = (check: string, detail: string, fix: string): Finding => ({
  check,
  level: 'warning',
  detail,
  fix,
});
export const wrong = (check: string, detail: string, fix: string): Finding => ({
  check,
  level: 'wrong',
  detail,
  fix,
});

/** A page of the documentation, where it lies beside this program. */
export const page = (name: string): string => fileURLToPath(new URL(`docs/${name}`, PACKAGE_ROOT));
