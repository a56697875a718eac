// A scenario that needs one boot is data and a check, so that several share a guest; others are functions of a booter.

import type { Test } from 'tap';
import type { ConsoleReport } from '../console-report.js';
import { deliveredBytes, type GuestRequest, type GuestSecret } from '../guest.js';

export interface SharedBootScenario {
  readonly title: string;
  readonly secrets: ReadonlyMap<string, GuestSecret>;
  readonly oemStrings: readonly string[];
  readonly files: GuestRequest['files'];
  readonly check: (t: Test, report: ConsoleReport) => void;
}

/** One guest for all of them; their credential names and units must differ. */
export function combineScenarios(vm: string, scenarios: readonly SharedBootScenario[]): GuestRequest {
  return {
    vm,
    secrets: new Map(scenarios.flatMap(({ secrets }) => [...secrets])),
    oemStrings: scenarios.flatMap(({ oemStrings }) => oemStrings),
    files: scenarios.flatMap(({ files }) => files),
  };
}

export function ageSecret(bytes: string | Buffer): GuestSecret {
  return { bytes: Buffer.from(bytes as Buffer), source: 'age' };
}

/** The bytes of the secret of that name as the guest must read them. */
export function delivered(secrets: ReadonlyMap<string, GuestSecret>, name: string): Buffer {
  const secret = secrets.get(name);
  if (secret === undefined) throw new Error(`The scenario has no secret ${name}`);
  return deliveredBytes(secret);
}

/** A unit's command that prints the digests of what it was given as credentials. */
export function printCredentials(label: string): string {
  return `ExecStart=/usr/lib/vmsecretd-test/print-digests ${label} \${CREDENTIALS_DIRECTORY}`;
}
