// cloud-hypervisor's VM config as JSON: what `vm.create` takes. Only the parts that others read are typed.

import type { JsonObject } from '../exact-json.js';

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
