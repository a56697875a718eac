// The body of vm.create: the one place where plaintext meets the VM config, as bytes.
import { type BudgetPart, checkBudget, SMBIOS_AREA_BYTES } from '../../credentials/limits.js';
import type { VmConfig } from './vm-config.js';

export interface EncodedCredential {
  name: string;
  /** `io.systemd.credential.binary:NAME=base64`. */
  oemString: Buffer;
}

/**
 * Builds `vmConfig` as JSON with `platform.oem_strings` = its static strings, then the credentials.
 * The caller wipes the result.
 * @param limitBytes what the VMM takes as a body
 * @throws VmsecretdError credentials_too_large
 */
export function buildCreateBody(
  vm: string,
  vmConfig: VmConfig,
  credentials: readonly EncodedCredential[],
  limitBytes: number,
): Buffer {
  const staticStrings = vmConfig.platform?.oem_strings ?? [];
  if (credentials.length === 0 && staticStrings.length === 0) return Buffer.from(JSON.stringify(vmConfig));
  const { platform, ...rest } = vmConfig;
  // platform comes last, and oem_strings last in it, so that the text ends where the credentials go.
  const text = JSON.stringify({ ...rest, platform: { ...platform, oem_strings: staticStrings } });
  const end = ']}}';
  const head = Buffer.from(text.slice(0, -end.length));
  const strings = credentials.flatMap(({ oemString }, index) => [
    Buffer.from(index === 0 && staticStrings.length === 0 ? '"' : ',"'),
    ...jsonSafe(oemString),
    Buffer.from('"'),
  ]);
  const staticBytes = staticStrings.reduce((sum, string) => sum + Buffer.byteLength(string) + 1, 0);
  const parts: BudgetPart[] = credentials.map(({ name, oemString }) => ({
    label: name,
    sizeBytes: oemString.length + 1,
  }));
  checkBudget(vm, [{ label: 'static OEM strings', sizeBytes: staticBytes }, ...parts], {
    of: 'the SMBIOS area of the guest',
    sizeBytes: SMBIOS_AREA_BYTES,
  });
  const body = Buffer.concat([head, ...strings, Buffer.from(end)]);
  const credentialBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  const configPart = { label: 'VM config and static OEM strings', sizeBytes: body.length - credentialBytes };
  checkBudget(vm, [configPart, ...parts], {
    of: 'the body of vm.create that cloud-hypervisor takes',
    sizeBytes: limitBytes,
  });
  return body;
}

/** Escapes the two characters of a credential's name that JSON does not take; a base64 value has neither. */
function jsonSafe(oemString: Buffer): Buffer[] {
  const escaped: Buffer[] = [];
  let from = 0;
  for (let at = 0; at < oemString.length; at += 1) {
    const byte = oemString[at];
    if (byte !== QUOTE && byte !== BACKSLASH) continue;
    escaped.push(oemString.subarray(from, at), Buffer.from('\\'));
    from = at;
  }
  return [...escaped, oemString.subarray(from)];
}

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
