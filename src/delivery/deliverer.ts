// The deliverer: a short-lived process, and the only one that ever holds plaintext. Forked by deliverer-process.ts,
// it reads, decrypts, checks and encodes, hands over, answers with names and sizes, and is then ended.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import pLimit from 'p-limit';
import { buildCredentialString } from '../credentials/oem-string.js';
import { computeReceiptDigest } from '../credentials/receipt-digest.js';
import { fileOf, kindOf, watchedPaths } from '../definition/credential-source.js';
import type { CredentialSource } from '../definition/definition.js';
import { checkOemStrings, NONCE_CREDENTIAL } from '../definition/oem-strings.js';
import { bootCredentials } from '../definition/on-demand.js';
import { VmsecretdError } from '../errors.js';
import { packOemStrings, readVmState, WARM_UP } from '../hypervisor/in-deliverer.js';
import type { EncodedCredential, Packed } from '../hypervisor/packed.js';
import { identifyEncryptedFile } from '../secrets/foreign-file.js';
import { type Identities, loadIdentities } from '../secrets/identities.js';
import { SecretValue } from '../secrets/secret-value.js';
import { SourceSession } from '../secrets/source.js';
import { warmUpDecryption } from '../secrets/warm-up.js';
import { closePlace, findTogether } from '../system/find-together.js';
import { loadDigestKey } from './digest-key.js';
import {
  type CheckResult,
  type DelivererMessage,
  type DelivererRequest,
  type DelivererResult,
  type Failure,
  type Packaging,
  PROTOCOL_VERSION,
  type Preparation,
  type PreparationResult,
  type PreparedCredential,
  type Serving,
} from './protocol.js';
import { isDelivererRequest } from './protocol-checks.js';
import { serveCredential } from './serve-credential.js';
import { digestLoaded, digestSources, type SourceDigest } from './source-digest.js';

/** File reads and plugin runs at once; a definition may have 255 credentials. */
const CONCURRENT_SOURCES = 16;

const NONCE_BYTES = 32;

let digestKey: Promise<Buffer> = Promise.reject(new Error('there is no key of digests'));
// Who needs it is told.
digestKey.catch(() => {});

/** The encoded credentials of one start, and what they were packed into. */
interface Prepared {
  vm: string;
  encoded: readonly EncodedCredential[];
  packed: Packed | undefined;
}

const preparedStarts = new Map<number, Prepared>();

/** What the guests of refreshes are given, a nonce among them; all of it from one moment. */
const refreshes = new Map<number, ReadonlyMap<string, SecretValue>>();

async function answer(request: DelivererRequest, socket: Socket | undefined): Promise<DelivererResult> {
  if (request.verb === 'begin') {
    digestKey = loadDigestKey(request.digestKeyPath);
    digestKey.catch(() => {});
    return null;
  }
  if (request.verb === 'digest') return { digests: await digestSources(request.sources, digestKey) };
  if (request.verb === 'state') return { state: await readVmState(request.api) };
  if (request.verb === 'check') return check(request.preparation);
  if (request.verb === 'open') {
    const { opened, result } = await openForRefresh(request.preparation);
    refreshes.set(request.id, opened);
    return result;
  }
  if (request.verb === 'serve') {
    const { head, timeoutMs } = request.serving;
    if (socket === undefined) throw new VmsecretdError('internal', 'there is no connection to serve');
    const open = (name: string) => openServed(request.serving, name);
    return serveCredential({ socket, head: Buffer.from(head, 'latin1'), timeoutMs, open });
  }
  if (request.verb === 'prepare') {
    const { prepared, result } = await prepare(request.preparation);
    preparedStarts.set(request.id, prepared);
    return result;
  }
  const prepared = preparedStarts.get(request.id);
  if (request.verb === 'forget') {
    if (prepared !== undefined) wipe(prepared);
    preparedStarts.delete(request.id);
    for (const value of refreshes.get(request.id)?.values() ?? []) value.wipe();
    refreshes.delete(request.id);
    return null;
  }
  if (prepared === undefined) throw new VmsecretdError('internal', 'nothing was prepared for this delivery');
  if (request.verb === 'pack') {
    pack(prepared, request.packaging);
    return null;
  }
  if (prepared.packed === undefined)
    throw new VmsecretdError('internal', 'nothing was packed for this delivery');
  await prepared.packed.deliver(request.destination);
  wipe(prepared);
  preparedStarts.delete(request.id);
  return null;
}

/** @throws VmsecretdError credentials_too_large, credentials_too_many, credential_duplicate */
function pack(prepared: Prepared, { staticOemStrings, packing }: Packaging): void {
  const { vm, encoded } = prepared;
  checkOemStrings(
    vm,
    staticOemStrings,
    encoded.map(({ name }) => name),
  );
  prepared.packed = packOemStrings(vm, packing, staticOemStrings, encoded);
}

function wipe({ encoded, packed }: Prepared): void {
  packed?.wipe();
  for (const { oemString } of encoded) oemString.fill(0);
}

interface PreparedWithResult {
  prepared: Prepared;
  result: PreparationResult;
}

/** All or nothing: the first error in the definition's order ends the preparation. */
async function prepare(preparation: Preparation): Promise<PreparedWithResult> {
  const opened = await openSources(preparation);
  try {
    if (opened.problems.length > 0) throw opened.problems[0];
    return encode(preparation, opened);
  } finally {
    for (const [, value] of opened.values) value.wipe();
  }
}

/** All or nothing, as for a start. Each has a digest that the guest's receipt must have. */
async function openForRefresh(preparation: Preparation) {
  const { values, problems, notes, digests } = await openSources(preparation);
  if (problems.length > 0) {
    for (const [, value] of values) value.wipe();
    throw problems[0];
  }
  const nonce = randomBytes(NONCE_BYTES);
  const credentials = values.map(([name, value]) => ({
    ...describeCredential(preparation, name, value, { nonce: undefined, digests }),
    receiptDigest: value.open(bytes => computeReceiptDigest(nonce, bytes)),
  }));
  const opened = new Map([...values, [NONCE_CREDENTIAL, new SecretValue(nonce)] as const]);
  return { opened, result: { credentials, notes } };
}

/** @returns undefined for what this guest may not ask for; the caller wipes it */
async function openServed(
  { vm, credentials, identities, passphraseFiles, refresh }: Serving,
  name: string,
): Promise<SecretValue | undefined> {
  const source = Object.hasOwn(credentials, name) ? credentials[name] : undefined;
  if (refresh !== undefined) {
    const value =
      source === undefined && name !== NONCE_CREDENTIAL ? undefined : refreshes.get(refresh)?.get(name);
    return value?.open(bytes => new SecretValue(Buffer.from(bytes)));
  }
  if (source === undefined) return undefined;
  const { values, problems } = await openSources({
    vm,
    credentials: { [name]: source },
    identities,
    passphraseFiles,
    wantsReceipt: false,
  });
  if (problems.length > 0) throw problems[0];
  return values[0]?.[1];
}

/** Everything that is wrong is told; whether the credentials fit together is known only where all of them open. */
async function check(preparation: Preparation): Promise<CheckResult> {
  const opened = await openSources(preparation);
  const problems = opened.problems.map(describeFailure);
  try {
    const credentials = opened.values.map(([name, value]) =>
      describeCredential(preparation, name, value, { nonce: undefined, digests: opened.digests }),
    );
    if (problems.length === 0) wipe(encode(preparation, opened).prepared);
    return { credentials, notes: opened.notes, problems };
  } catch (error) {
    return { credentials: [], notes: opened.notes, problems: [...problems, describeFailure(error)] };
  } finally {
    for (const [, value] of opened.values) value.wipe();
  }
}

function encode(preparation: Preparation, { values, notes, digests }: Opened): PreparedWithResult {
  const { vm, packaging } = preparation;
  const encoded: EncodedCredential[] = [];
  try {
    const credentials: PreparedCredential[] = [];
    const nonce = preparation.wantsReceipt ? randomBytes(NONCE_BYTES) : undefined;
    if (nonce !== undefined) {
      const value = new SecretValue(nonce);
      encoded.push({ name: NONCE_CREDENTIAL, oemString: buildCredentialString(NONCE_CREDENTIAL, value) });
    }
    for (const [name, value] of values) {
      const isOnDemand = preparation.credentials[name]?.onDemand === true;
      if (!isOnDemand) encoded.push({ name, oemString: buildCredentialString(name, value) });
      const boot = { nonce: isOnDemand ? undefined : nonce, digests };
      credentials.push(describeCredential(preparation, name, value, boot));
    }
    const prepared: Prepared = { vm, encoded, packed: undefined };
    if (packaging !== undefined) pack(prepared, packaging);
    return { prepared, result: { credentials, notes } };
  } catch (error) {
    wipe({ vm, encoded, packed: undefined });
    throw error;
  }
}

interface Opened {
  values: [string, SecretValue][];
  /** In the definition's order. */
  problems: unknown[];
  notes: string[];
  /** What tells that a source changed, by credential. */
  digests: ReadonlyMap<string, SourceDigest>;
}

/** The caller wipes the values. */
async function openSources(preparation: Preparation): Promise<Opened> {
  const { vm, credentials } = preparation;
  const names = Object.keys(bootCredentials(credentials));
  checkOemStrings(
    vm,
    preparation.packaging?.staticOemStrings ?? [],
    preparation.wantsReceipt ? [NONCE_CREDENTIAL, ...names] : names,
  );
  const identities = await loadIdentities({
    vm,
    paths: preparation.identities,
    passphraseFiles: preparation.passphraseFiles,
  });
  try {
    const { values, problems, digests } = await readSources(preparation, identities);
    const keyNotes = identities.notes.map(note => `key file ${note}`);
    const notes = [...keyNotes, ...values.flatMap(noteCiphertext(credentials))];
    return { values, problems, digests, notes };
  } finally {
    identities.wipe();
  }
}

async function readSources(
  { vm, unit, credentials }: Preparation,
  identities: Identities,
): Promise<Omit<Opened, 'notes'>> {
  const digests = new Map<string, SourceDigest>();
  const limit = pLimit(CONCURRENT_SOURCES);
  const sources = Object.entries(credentials);
  const places = await findTogether(sources.flatMap(([, source]) => fileOf(source) ?? []));
  const session = new SourceSession({ identities, places, unit: unit ?? `${vm}.service` });
  const read = async (credential: string, source: CredentialSource): Promise<[string, SecretValue]> => {
    const named = { vm, credential, source };
    const value = await session.open(named, async loaded => {
      if (watchedPaths(source).length > 0)
        digests.set(credential, await digestLoaded(named, loaded, digestKey));
    });
    return [credential, value];
  };
  const outcomes = await Promise.allSettled(
    sources.map(([credential, source]) => limit(() => read(credential, source))),
  );
  await session.end();
  for (const place of places.values()) closePlace(place);
  return {
    values: outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : [])),
    problems: outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : [])),
    digests,
  };
}

/** A plain file is delivered as it is; that it is ciphertext of another program can hardly be meant. */
function noteCiphertext(credentials: Preparation['credentials']) {
  return ([name, value]: [string, SecretValue]): string[] => {
    const path = credentials[name]?.file;
    const encrypted = path === undefined ? undefined : value.open(identifyEncryptedFile);
    if (encrypted === undefined) return [];
    const { what, advice } = encrypted;
    return [`credential ${name}: ${path} is delivered as it is, and looks encrypted: ${what}; ${advice}`];
  };
}

function describeCredential(
  preparation: Preparation,
  name: string,
  value: SecretValue,
  { nonce, digests }: { nonce: Buffer | undefined; digests: Opened['digests'] },
): PreparedCredential {
  const source = preparation.credentials[name] ?? {};
  const path = fileOf(source);
  return {
    name,
    source: kindOf(source),
    ...(path === undefined ? {} : { path }),
    sizeBytes: value.sizeBytes,
    ...(source.onDemand === true ? { onDemand: true as const } : {}),
    ...digests.get(name),
    ...(nonce === undefined
      ? {}
      : { receiptDigest: value.open(bytes => computeReceiptDigest(nonce, bytes)) }),
  };
}

function describeFailure(error: unknown): Failure {
  if (error instanceof VmsecretdError) {
    const { code, message, details, words } = error;
    return { code, message, details, ...(words === undefined ? {} : { words }) };
  }
  // An unknown error's text may quote what it was given: nothing of it but its kind leaves this process.
  const kind = error instanceof Error ? error.constructor.name : typeof error;
  return { code: 'internal', message: `the deliverer failed (${kind})`, details: {} };
}

const WARM_UP_ROUNDS = 3;

/** Delivers what is no secret to a VMM that is played: in code that never ran it would take some 4 ms longer. */
async function warmUpDelivery(): Promise<void> {
  const preparation: Preparation = {
    vm: 'warm-up',
    credentials: { WARM: { text: 'warm' } },
    identities: [],
    passphraseFiles: [],
    packaging: { staticOemStrings: [], packing: WARM_UP.packing },
    wantsReceipt: false,
  };
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    const { prepared } = await prepare(preparation);
    await prepared.packed?.deliver(WARM_UP.destination);
    wipe(prepared);
  }
}

process.on('message', (request: unknown, socket: Socket | undefined) => {
  if (!isDelivererRequest(request)) throw new Error('a request of another version of vmsecretd');
  void answer(request, socket)
    .then((result): DelivererMessage => ({ id: request.id, ok: true, result }))
    .catch((error): DelivererMessage => ({ id: request.id, ok: false, ...describeFailure(error) }))
    .then(message => process.send?.(message));
});
// A daemon that is gone waits for nothing.
process.on('disconnect', () => process.exit(0));
await warmUpDecryption();
await warmUpDelivery();
process.send?.({ ready: PROTOCOL_VERSION } satisfies DelivererMessage);
