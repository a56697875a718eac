// What a definition's own `vmConfig` must be where this project reads it; the VMM checks the rest.
import { Type } from 'typebox';

const Text = Type.Optional(Type.String());
const Console = Type.Optional(Type.Object({ mode: Type.String(), file: Text, socket: Text }));

export const VmConfigSchema = Type.Object({
  payload: Type.Optional(Type.Object({ kernel: Text, firmware: Text, initramfs: Text })),
  platform: Type.Optional(Type.Object({ oem_strings: Type.Optional(Type.Array(Type.String())) })),
  serial: Console,
  console: Console,
  vsock: Type.Optional(Type.Object({ cid: Type.Integer(), socket: Type.String() })),
  disks: Type.Optional(Type.Array(Type.Object({ path: Text, readonly: Type.Optional(Type.Boolean()) }))),
  net: Type.Optional(Type.Array(Type.Object({ tap: Text, mac: Text }))),
});
