// cloud-hypervisor's VM config as JSON: what `vm.create` takes. Only the parts that others read are typed.

/** A bigint is a whole number beyond 2^53, which JSON carries and a JavaScript number does not. */
export type JsonValue = string | number | bigint | boolean | null | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  [key: string]: JsonValue | undefined;
}

export interface ConsoleConfig extends JsonObject {
  mode: 'Off' | 'Pty' | 'Tty' | 'File' | 'Socket' | 'Null';
  file?: string;
  socket?: string;
}

export interface VmConfig extends JsonObject {
  payload?: JsonObject & { kernel?: string; firmware?: string; initramfs?: string; cmdline?: string };
  platform?: JsonObject & { oem_strings?: string[] };
  serial?: ConsoleConfig;
  console?: ConsoleConfig;
  vsock?: JsonObject & { cid: number; socket: string };
  disks?: (JsonObject & { path?: string; readonly?: boolean })[];
  net?: (JsonObject & { tap?: string; mac?: string })[];
}

const BIGINT_MARK = '\u0000bigint:';

/** Writes a VM config as JSON with every digit of its numbers; `JSON.stringify` throws on a bigint. */
export function stringifyVmConfig(vmConfig: JsonObject, indent = 0): string {
  let hasBigint = false;
  const markBigint = (_key: string, value: unknown) => {
    if (typeof value !== 'bigint') return value;
    hasBigint = true;
    return `${BIGINT_MARK}${value}`;
  };
  const json = JSON.stringify(vmConfig, markBigint, indent);
  return hasBigint ? json.replaceAll(/"\\u0000bigint:(-?\d+)"/g, '$1') : json;
}
