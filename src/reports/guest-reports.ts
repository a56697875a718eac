// What the guest of one VM reports: that it is ready, how it is, and which credentials it received.
import type { Socket } from 'node:net';
import type { Definition } from '../definition/definition.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import type { GuestChannelPlans } from '../hypervisor/hypervisor.js';
import type { UserIds } from '../system/users.js';
import { openCredentialChannel } from './credential-channel.js';
import { type GuestChannel, openGuestChannel } from './guest-channel.js';
import { NOTIFY_LIMIT_BYTES, parseExitStatus, parseNotifyMessage } from './notify-message.js';
import {
  isReceiptComplete,
  isReceiptCut,
  parseReceipt,
  RECEIPT_LIMITS,
  ReceiptInvalidError,
  verifyReceipt,
} from './receipt.js';
import { RefreshChannel } from './refresh-channel.js';

/** A guest sends one, or a few where it tries again; each becomes an event, so that there must be an end to them. */
const MAXIMUM_RECEIPTS = 64;

/** Who is told: the VM. */
export interface ReportedVm {
  readonly definition: Pick<Definition, 'ready' | 'supervisor'>;
  recordGuestStatus(status: string): void;
  recordGuestExit?(status: number): void;
  becomeReady(): void;
  recordReceipt(problems: readonly string[]): void;
  /** As CredentialChannelOptions.serve. @param delivered what the guest got at boot */
  serveCredential(socket: Socket, head: Buffer, delivered: readonly PreparedCredential[]): Promise<void>;
  /** As RefreshChannelOptions.onGuest. */
  guestCame(boot: string): void;
}

/** Of a RunningVm. */
interface ReportingGuest {
  channels: GuestChannelPlans;
  credentials: readonly PreparedCredential[];
  refreshed?: { atBoot: readonly PreparedCredential[] } | undefined;
}

export class GuestReports {
  readonly #vm: ReportedVm;
  #channels: GuestChannel[] = [];
  /** Undefined where the guest has no such channel. */
  refresh: RefreshChannel | undefined;
  #receipts = 0;
  /** Of a refresh since the boot. */
  #refreshed: readonly PreparedCredential[] | undefined;

  constructor(vm: ReportedVm) {
    this.#vm = vm;
  }

  /** Listens before there is a guest; an earlier guest's reports count no more. */
  async open(
    plans: GuestChannelPlans,
    credentials: readonly PreparedCredential[],
    owner?: UserIds,
  ): Promise<void> {
    await this.close();
    this.startAnew();
    const { notify, receipt } = plans;
    if (notify !== undefined) {
      this.#channels.push(
        await openGuestChannel(notify, {
          limitBytes: NOTIFY_LIMIT_BYTES,
          isComplete: () => true,
          mode: 0o600,
          onMessage: bytes => this.#notified(bytes),
          owner,
        }),
      );
    }
    if (receipt !== undefined) {
      this.#channels.push(
        await openGuestChannel(receipt, {
          limitBytes: RECEIPT_LIMITS.maxBytes,
          isComplete: isReceiptComplete,
          // A VMM in a unit is not ours to chown to; nobody without the nonce can forge a receipt.
          mode: 0o666,
          onMessage: bytes => this.#received(bytes, credentials),
          owner,
        }),
      );
    }
    await this.#openCredentials(plans, credentials, owner);
  }

  /** Of a guest that an earlier daemon started, and may have given new credentials. */
  async reopen({ channels, credentials, refreshed }: ReportingGuest, owner?: UserIds): Promise<void> {
    await this.open(channels, refreshed?.atBoot ?? credentials, owner);
    if (refreshed !== undefined) this.expect(credentials);
  }

  async #openCredentials(
    { credentials: channel, refresh }: GuestChannelPlans,
    credentials: readonly PreparedCredential[],
    owner: UserIds | undefined,
  ): Promise<void> {
    // A unit's are in a folder that only its user enters.
    const access = { mode: this.#vm.definition.supervisor === 'unit' ? 0o666 : 0o600, owner };
    if (channel !== undefined) {
      const serve = (socket: Socket, head: Buffer) => this.#vm.serveCredential(socket, head, credentials);
      this.#channels.push(await openCredentialChannel(channel, { ...access, serve }));
    }
    if (refresh !== undefined) {
      this.refresh = await RefreshChannel.open(refresh, {
        ...access,
        onGuest: boot => this.#vm.guestCame(boot),
      });
      this.#channels.push(this.refresh);
    }
  }

  /** Receipts may be of these, too: the guest was given new ones. */
  expect(credentials: readonly PreparedCredential[]): void {
    this.#refreshed = credentials;
  }

  /** What comes now is of another guest. */
  startAnew(): void {
    this.#receipts = 0;
    this.#refreshed = undefined;
  }

  async close(): Promise<void> {
    const channels = this.#channels;
    this.#channels = [];
    this.refresh = undefined;
    await Promise.all(channels.map(channel => channel.close()));
  }

  #notified(bytes: Buffer): void {
    const { ready, stopping, status, errno } = parseNotifyMessage(bytes);
    const said = [
      status,
      errno === undefined ? undefined : `error ${errno}`,
      stopping ? 'stopping' : undefined,
    ];
    const text = said.filter(part => part !== undefined).join(', ');
    if (text !== '') this.#vm.recordGuestStatus(text);
    const exitStatus = parseExitStatus(bytes);
    if (exitStatus !== undefined) this.#vm.recordGuestExit?.(exitStatus);
    if (ready && this.#vm.definition.ready === 'notify') this.#vm.becomeReady();
  }

  #received(bytes: Buffer, credentials: readonly PreparedCredential[]): void {
    if (bytes.length < RECEIPT_LIMITS.maxBytes && isReceiptCut(bytes)) return;
    this.#receipts += 1;
    if (this.#receipts > MAXIMUM_RECEIPTS) return;
    try {
      const receipt = parseReceipt(fromFirstLine(bytes));
      const ofBoot = verifyReceipt(receipt, expectedOf(credentials));
      const verdict =
        this.#refreshed === undefined || ofBoot.status === 'verified'
          ? ofBoot
          : verifyReceipt(receipt, expectedOf(this.#refreshed));
      const problems =
        verdict.status === 'verified'
          ? []
          : [
              ...verdict.missing.map(name => `${name} is missing`),
              ...verdict.different.map(name => `${name} differs`),
            ];
      this.#vm.recordReceipt(problems);
    } catch (error) {
      if (!(error instanceof ReceiptInvalidError)) throw error;
      this.#vm.recordReceipt([error.message]);
    }
  }
}

/** In a receipt of its boot a guest has nothing of what it asks for. */
function expectedOf(credentials: readonly PreparedCredential[]) {
  return credentials
    .filter(({ onDemand }) => onDemand !== true)
    .map(({ name, receiptDigest = '' }) => ({ name, digest: receiptDigest }));
}

/** A port may have kept the end of a message that was cut. */
function fromFirstLine(bytes: Buffer): Buffer {
  const at = bytes.lastIndexOf('VMSECRETD_RECEIPT=1\n');
  return at < 0 ? bytes : bytes.subarray(at);
}
