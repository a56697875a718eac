// What the daemon and a deliverer say to each other over IPC. No message carries a value of a secret.
import type { SourceKind } from '../definition/credential-source.js';
import type { CredentialSource } from '../definition/definition.js';
import type { ErrorCode, ErrorDetails } from '../errors.js';
import type { Destination, Packing, VmmApi } from '../hypervisor/hypervisor.js';
import type { NamedSource } from '../secrets/source.js';
import type { RefusalCode } from './credential-request.js';

/** Everything needed to read, decrypt, check and encode the credentials of one VM. */
export interface Preparation {
  vm: string;
  /** What a service behind a socket knows the VM by; NAME.service unless given. */
  unit?: string;
  credentials: Record<string, CredentialSource>;
  identities: string[];
  passphraseFiles: string[];
  /** Absent where the command line comes later, with a unit's launcher: then `pack` follows. */
  packaging?: Packaging;
  /** Whether the guest is to acknowledge its credentials: a nonce goes first among them. */
  wantsReceipt: boolean;
}

/** One request of a guest for a credential, on a connection that is sent along. */
export interface Serving extends Pick<Preparation, 'vm' | 'credentials' | 'identities' | 'passphraseFiles'> {
  /** What was read of the connection already, as latin1. */
  head: string;
  timeoutMs: number;
  /** Of the refresh whose values are given; absent: each is opened as it is now. */
  refresh?: number;
}

export interface ServeResult {
  /** `cut`: the guest did not read all of it. */
  outcome: 'delivered' | 'cut' | RefusalCode;
  /** As the guest says. */
  unit: string | null;
  /** Of a credential of this VM. */
  name: string | null;
  sizeBytes: number | null;
  /** Why it is unavailable. */
  failure?: Failure;
}

/** What the OEM strings become part of. */
export interface Packaging {
  /** OEM strings of command line and definition, in order. */
  staticOemStrings: string[];
  packing: Packing;
}

/** One credential as everybody may know it. */
export interface PreparedCredential {
  name: string;
  source: SourceKind;
  /** Of the file that it was read from; absent for a source that names none. */
  path?: string;
  sizeBytes: number;
  /** Not delivered at boot; absent where it was. */
  onDemand?: true;
  /** Of what is not encrypted: HMAC-SHA-256 of the value, hex, with a key that only deliverers have. */
  digest?: string;
  /** What the guest's receipt must have for it; only where one is wanted. */
  receiptDigest?: string;
  /** SHA-256 of the ciphertext that was opened, hex: of an age file, or of one value of a sops file. */
  ciphertextDigest?: string;
}

export interface DigestResult {
  /** In the order of the sources; null for one that cannot be read now. */
  digests: (string | null)[];
}

export interface PreparationResult {
  credentials: PreparedCredential[];
  /** What an operator should know although it went well, such as an identity file that is not there. */
  notes: readonly string[];
}

export interface Failure {
  code: ErrorCode;
  message: string;
  details: ErrorDetails;
  /** What a VMM or a program said; see VmsecretdError.words. */
  words?: string | undefined;
}

/** Of a preparation that is forgotten at once: everything that is wrong with it. */
export interface CheckResult extends PreparationResult {
  problems: Failure[];
}

export type DelivererRequest =
  /** First of all, and answered with null. */
  | { id: 0; verb: 'begin'; digestKeyPath: string }
  | { id: number; verb: 'prepare'; preparation: Preparation }
  | { id: number; verb: 'check'; preparation: Preparation }
  | { id: number; verb: 'pack'; packaging: Packaging }
  | { id: number; verb: 'deliver'; destination: Destination }
  | { id: number; verb: 'open'; preparation: Preparation }
  /** With the guest's connection. */
  | { id: number; verb: 'serve'; serving: Serving }
  | { id: number; verb: 'forget' }
  | { id: number; verb: 'state'; api: VmmApi }
  | { id: number; verb: 'digest'; sources: NamedSource[] };

/** Of a VM, as its VMM calls it: such as `Running` or `Paused`. */
export interface StateResult {
  state: string;
}

export type DelivererResult =
  | PreparationResult
  | CheckResult
  | DigestResult
  | StateResult
  | ServeResult
  | null;

export type DelivererAnswer =
  | { id: number; ok: true; result: DelivererResult }
  | ({ id: number; ok: false } & Failure);

/** Sent once, when the deliverer has loaded what it needs. */
export type DelivererReady = { ready: true };
