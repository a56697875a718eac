// What the guest of one VM reports: that it is ready, how it is, and which credentials it received.
import type { Definition } from '../definition/definition.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import type { GuestChannelPlans } from '../hypervisor/hypervisor.js';
import type { UserIds } from '../system/users.js';
import { type GuestChannel, openGuestChannel } from './guest-channel.js';
import { NOTIFY_LIMIT_BYTES, parseNotifyMessage } from './notify-message.js';
import {
  isReceiptComplete,
  isReceiptCut,
  parseReceipt,
  RECEIPT_LIMITS,
  ReceiptInvalidError,
  verifyReceipt,
} from './receipt.js';

/** A guest sends one, or a few where it tries again; each becomes an event, so that there must be an end to them. */
const MAXIMUM_RECEIPTS = 64;

/** Who is told: the VM. */
export interface ReportedVm {
  readonly definition: Pick<Definition, 'ready'>;
  guestStatus: string | null;
  becomeReady(): void;
  receiptCame(problems: readonly string[]): void;
}

export class GuestReports {
  readonly #vm: ReportedVm;
  #channels: GuestChannel[] = [];
  #receipts = 0;

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
  }

  /** What comes now is of another guest. */
  startAnew(): void {
    this.#receipts = 0;
  }

  async close(): Promise<void> {
    const channels = this.#channels;
    this.#channels = [];
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
    if (text !== '') this.#vm.guestStatus = text;
    if (ready && this.#vm.definition.ready === 'notify') this.#vm.becomeReady();
  }

  #received(bytes: Buffer, credentials: readonly PreparedCredential[]): void {
    if (bytes.length < RECEIPT_LIMITS.maxBytes && isReceiptCut(bytes)) return;
    this.#receipts += 1;
    if (this.#receipts > MAXIMUM_RECEIPTS) return;
    const expected = credentials.map(({ name, receiptDigest = '' }) => ({ name, digest: receiptDigest }));
    try {
      const verdict = verifyReceipt(parseReceipt(fromFirstLine(bytes)), expected);
      const problems =
        verdict.status === 'verified'
          ? []
          : [
              ...verdict.missing.map(name => `${name} is missing`),
              ...verdict.different.map(name => `${name} differs`),
            ];
      this.#vm.receiptCame(problems);
    } catch (error) {
      if (!(error instanceof ReceiptInvalidError)) throw error;
      this.#vm.receiptCame([error.message]);
    }
  }
}

/** A port may have kept the end of a message that was cut. */
function fromFirstLine(bytes: Buffer): Buffer {
  const at = bytes.lastIndexOf('VMSECRETD_RECEIPT=1\n');
  return at < 0 ? bytes : bytes.subarray(at);
}
