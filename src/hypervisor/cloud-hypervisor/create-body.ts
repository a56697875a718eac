// The body of vm.create: the one place where plaintext meets the VM config, as bytes.
import { type BudgetPart, checkBudget, SMBIOS_AREA_BYTES } from '../../credentials/limits.js';
import { stringifyExactly } from '../exact-json.js';
import type { EncodedCredential } from '../packed.js';
import type { VmConfig } from './vm-config.js';

/** A VM config as JSON text that ends with its static OEM strings, so that `buildCreateBody` can add to them. */
export function writeVmConfig({ platform, ...rest }: VmConfig): string {
  const { oem_strings: staticStrings = [], ...others } = platform ?? {};
  return stringifyExactly({ ...rest, platform: { ...others, oem_strings: staticStrings } });
}

const TEXT_END = ']}}';

/**
 * The VM config with the credentials behind its static OEM strings. The caller wipes the result.
 * @param vmConfigText from `writeVmConfig`
 * @param limitBytes what the VMM takes as a body
 * @throws VmsecretdError credentials_too_large
 */
export function buildCreateBody(
  vm: string,
  vmConfigText: string,
  credentials: readonly EncodedCredential[],
  limitBytes: number,
): Buffer {
  const hasStaticStrings = !vmConfigText.endsWith(`[${TEXT_END}`);
  const strings = credentials.flatMap(({ oemString }, index) => [
    Buffer.from(index === 0 && !hasStaticStrings ? '"' : ',"'),
    ...escapeJson(oemString),
    Buffer.from('"'),
  ]);
  const body = Buffer.concat([
    Buffer.from(vmConfigText.slice(0, -TEXT_END.length)),
    ...strings,
    Buffer.from(TEXT_END),
  ]);
  try {
    checkBody(
      vm,
      { bodyBytes: body.length, staticBytes: measureStaticStrings(vmConfigText) },
      credentials,
      limitBytes,
    );
  } catch (error) {
    body.fill(0);
    throw error;
  }
  return body;
}

function checkBody(
  vm: string,
  { bodyBytes, staticBytes }: { bodyBytes: number; staticBytes: number },
  credentials: readonly EncodedCredential[],
  limitBytes: number,
): void {
  const parts: BudgetPart[] = credentials.map(({ name, oemString }) => ({
    label: name,
    sizeBytes: oemString.length + 1,
  }));
  const credentialBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  checkBudget(vm, [{ label: 'static OEM strings', sizeBytes: staticBytes }, ...parts], {
    of: 'the SMBIOS area of the guest',
    sizeBytes: SMBIOS_AREA_BYTES,
  });
  checkBudget(vm, [{ label: 'VM config', sizeBytes: bodyBytes - credentialBytes }, ...parts], {
    of: 'the body of vm.create that cloud-hypervisor takes',
    sizeBytes: limitBytes,
  });
}

/** The text ends with the platform, as JSON: never less than what it takes in the guest's tables, the system's names included. */
function measureStaticStrings(vmConfigText: string): number {
  return Buffer.byteLength(vmConfigText.slice(vmConfigText.lastIndexOf('"platform":{')));
}

/** Escapes the two characters of a credential's name that JSON does not take; a base64 value has neither. */
function escapeJson(oemString: Buffer): Buffer[] {
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
