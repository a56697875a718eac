import type { CredentialSource } from './credential-source.js';
import type { DeliveryKind, HypervisorKind } from './hypervisor-kinds.js';

export type { CredentialSource, DeliveryKind, HypervisorKind };
export type SupervisorKind = 'daemon' | 'unit';

/** What an operator declares of a VM: valid, every default filled in, every path absolute. */
export interface Definition {
  readonly name: string;
  readonly origin: 'file' | 'api';
  /** Where it is kept. */
  readonly path: string;
  /** The arguments as declared; undefined with `vmConfig`, or where a launcher brings them. */
  readonly command: readonly string[] | undefined;
  readonly vmConfig: Readonly<Record<string, unknown>> | undefined;
  readonly workingDirectory: string | undefined;
  readonly oemStrings: readonly string[];
  readonly credentials: Readonly<Record<string, CredentialSource>>;
  readonly hypervisor: HypervisorKind;
  /** In place of the one that the configuration names for the hypervisor. */
  readonly program: string | undefined;
  readonly delivery: DeliveryKind;
  readonly supervisor: SupervisorKind;
  readonly unit: string;
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly identities: readonly string[] | undefined;
  readonly preStart: readonly (readonly string[])[];
  readonly autostart: boolean;
  readonly restart: 'no' | 'on-failure' | 'always';
  readonly ready: 'boot' | 'notify' | 'receipt';
  readonly onChange: 'report' | 'restart' | 'refresh';
  readonly startTimeoutSeconds: number;
  readonly stopTimeoutSeconds: number;
}
