// What one check found, and the mend.
import { fileURLToPath } from 'node:url';

export interface Finding {
  check: string;
  /** `wrong` keeps something from working or tells secrets; `warning` may be meant so. */
  level: 'ok' | 'warning' | 'wrong';
  detail: string;
  /** What to do; null where nothing is. */
  mend: string | null;
}

export const fine = (check: string, detail: string): Finding => ({ check, level: 'ok', detail, mend: null });
export const warning = (check: string, detail: string, mend: string): Finding => ({
  check,
  level: 'warning',
  detail,
  mend,
});
export const wrong = (check: string, detail: string, mend: string): Finding => ({
  check,
  level: 'wrong',
  detail,
  mend,
});

/** A page of the documentation, where it lies beside this program. */
export const page = (name: string): string =>
  fileURLToPath(new URL(`../../../../docs/${name}`, import.meta.url));
