// What the daemon and a deliverer say to each other over IPC. No message carries a value of a secret.
import { Type } from 'typebox';
import { CredentialSchema } from '../definition/schema.js';
import { SOURCE_KINDS } from '../definition/sources/sources.js';
import { ERROR_CODES } from '../errors.js';
import { DestinationSchema, PackingSchema, VmmApiSchema } from '../hypervisor/schemas.js';
import { REFUSAL_CODES } from './credential-request.js';

const Strings = Type.Array(Type.String());

/** What the OEM strings become part of. */
export const PackagingSchema = Type.Object({
  /** OEM strings of command line and definition, in order. */
  staticOemStrings: Strings,
  packing: PackingSchema,
});

/** Everything needed to read, decrypt, check and encode the credentials of one VM. */
export const PreparationSchema = Type.Object({
  vm: Type.String(),
  /** What a service behind a socket knows the VM by; NAME.service unless given. */
  unit: Type.Optional(Type.String()),
  credentials: Type.Record(Type.String(), CredentialSchema),
  identities: Strings,
  passphraseFiles: Strings,
  /** Absent where the command line comes later, with a unit's launcher: then `pack` follows. */
  packaging: Type.Optional(PackagingSchema),
  /** Whether the guest is to acknowledge its credentials: a nonce goes first among them. */
  wantsReceipt: Type.Boolean(),
});

/** The source of a credential, and whose it is. */
export const NamedSourceSchema = Type.Object({
  vm: Type.String(),
  credential: Type.String(),
  source: CredentialSchema,
});

/** One credential as everybody may know it. */
export const PreparedCredentialSchema = Type.Object({
  name: Type.String(),
  source: Type.Enum(SOURCE_KINDS),
  /** Of the file that it was read from; absent for a source that names none. */
  path: Type.Optional(Type.String()),
  sizeBytes: Type.Integer(),
  /** Not delivered at boot; absent where it was. */
  onDemand: Type.Optional(Type.Literal(true)),
  /** Of what is not encrypted: HMAC-SHA-256 of the value, hex, with a key that only deliverers have. */
  digest: Type.Optional(Type.String()),
  /** What the guest's receipt must have for it; only where one is wanted. */
  receiptDigest: Type.Optional(Type.String()),
  /** SHA-256 of the ciphertext that was opened, hex: of an age file, or of one value of a sops file. */
  ciphertextDigest: Type.Optional(Type.String()),
});

/** One request of a guest for a credential, on a connection that is sent along. */
export const ServingSchema = Type.Object({
  ...Type.Pick(PreparationSchema, ['vm', 'credentials', 'identities', 'passphraseFiles']).properties,
  /** What was read of the connection already, as latin1. */
  head: Type.String(),
  timeoutMs: Type.Number(),
  /** Of the refresh whose values are given; absent: each is opened as it is now. */
  refresh: Type.Optional(Type.Integer()),
});

const Id = Type.Integer();
const question = <Verb extends string>(verb: Verb) => ({ id: Id, verb: Type.Literal(verb) });

export const DelivererRequestSchema = Type.Union([
  /** First of all, and answered with null. */
  Type.Object({ ...question('begin'), digestKeyPath: Type.String() }),
  Type.Object({ ...question('prepare'), preparation: PreparationSchema }),
  /** As prepare, and everything that is wrong is told; nothing is kept. */
  Type.Object({ ...question('check'), preparation: PreparationSchema }),
  Type.Object({ ...question('pack'), packaging: PackagingSchema }),
  Type.Object({ ...question('deliver'), destination: DestinationSchema }),
  Type.Object({ ...question('open'), preparation: PreparationSchema }),
  /** With the guest's connection. */
  Type.Object({ ...question('serve'), serving: ServingSchema }),
  Type.Object(question('forget')),
  Type.Object({ ...question('state'), api: VmmApiSchema }),
  Type.Object({ ...question('digest'), sources: Type.Array(NamedSourceSchema) }),
]);

export const PreparationResultSchema = Type.Object({
  credentials: Type.Array(PreparedCredentialSchema),
  /** What an operator should know although it went well, such as an identity file that is not there. */
  notes: Strings,
});

export const FailureSchema = Type.Object({
  code: Type.Enum(ERROR_CODES),
  message: Type.String(),
  details: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Strings])),
  /** What a VMM or a program said; see VmsecretdError.words. */
  words: Type.Optional(Type.String()),
});

/** Of a preparation that is forgotten at once: everything that is wrong with it. */
export const CheckResultSchema = Type.Object({
  ...PreparationResultSchema.properties,
  problems: Type.Array(FailureSchema),
});

export const DigestResultSchema = Type.Object({
  /** In the order of the sources; null for one that cannot be read now. */
  digests: Type.Array(Type.Union([Type.String(), Type.Null()])),
});

export const ServeResultSchema = Type.Object({
  /** `cut`: the guest did not read all of it. */
  outcome: Type.Enum(['delivered', 'cut', ...REFUSAL_CODES]),
  /** As the guest says. */
  unit: Type.Union([Type.String(), Type.Null()]),
  /** Of a credential of this VM. */
  name: Type.Union([Type.String(), Type.Null()]),
  sizeBytes: Type.Union([Type.Integer(), Type.Null()]),
  /** Why it is unavailable. */
  failure: Type.Optional(FailureSchema),
});

/** Of a VM, as its VMM calls it: such as `Running` or `Paused`. */
export const StateResultSchema = Type.Object({ state: Type.String() });

export const DelivererMessageSchema = Type.Union([
  /** Sent once, when the deliverer has loaded what it needs. Another number is of another PROTOCOL_VERSION. */
  Type.Object({ ready: Type.Literal(1) }),
  Type.Object({
    id: Id,
    ok: Type.Literal(true),
    result: Type.Union([
      CheckResultSchema,
      PreparationResultSchema,
      DigestResultSchema,
      StateResultSchema,
      ServeResultSchema,
      Type.Null(),
    ]),
  }),
  Type.Object({ id: Id, ok: Type.Literal(false), ...FailureSchema.properties }),
]);
