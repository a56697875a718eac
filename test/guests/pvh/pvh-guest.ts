// The test guest: a PVH ELF64 of some 300 bytes that prints each SMBIOS type 11 string to the first serial port, one a
// line, then END_OF_OEM_STRINGS, and ends as asked. The same bytes boot under cloud-hypervisor (KVM) and QEMU q35 (TCG).

import {
  assemble,
  call,
  instruction,
  jump,
  label,
  littleEndian32,
  type Piece,
  withAddress,
} from './machine-code.js';
import { SHA_256 } from './sha-256.js';

/** The last line of the guest's output: whoever has read it has read every OEM string. */
export const END_OF_OEM_STRINGS = 'END OF OEM STRINGS';

/**
 * What the guest does after printing: `power-off` (ACPI S5), `stay` (halts with interrupts off), `reboot` (keyboard
 * controller reset: it prints again and again), `await-power-button` (halts until the power button is pressed, then
 * powers off), `flood` (prints without an end).
 */
export type AfterPrinting = 'power-off' | 'stay' | 'reboot' | 'await-power-button' | 'flood';

// At 2 MiB: OEM strings that overflow the SMBIOS area run over the first bytes above 1 MiB, not over this program.
const LOAD_ADDRESS = 0x20_0000;
const STACK_TOP = 0x30_0000;
const IDT_ADDRESS = 0x30_0000;
const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const NOTE_BYTES = 24;
const NOTE_OFFSET = ELF_HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES;
const ENTRY_OFFSET = NOTE_OFFSET + NOTE_BYTES;

/** With `digests` the guest prints the SHA-256 of what stands behind the first `=` of a string in its place. */
export function buildPvhGuest(options: { after?: AfterPrinting; digests?: boolean } = {}): Buffer {
  const { after = 'power-off', digests = false } = options;
  const code = assemble(LOAD_ADDRESS + ENTRY_OFFSET, [
    instruction('mov esp, STACK_TOP', 0xbc, ...littleEndian32(STACK_TOP)),
    instruction('cld', 0xfc),
    // Before the marker: whoever has read that may press the button.
    ...(after === 'await-power-button' ? LISTEN_FOR_POWER_BUTTON : []),
    ...printOemStrings(digests ? PRINT_DIGEST : []),
    ...AFTER_PRINTING[after],
    ...PUT_BYTE,
    ...(digests ? SHA_256 : []),
    label('marker'),
    { bytes: [...Buffer.from(`${END_OF_OEM_STRINGS}\n\0`, 'latin1')] },
  ]);
  const fileBytes = ENTRY_OFFSET + code.length;
  return Buffer.concat([
    elfHeader(),
    programHeader({ type: 1, flags: 7, offset: 0, address: LOAD_ADDRESS, sizeBytes: fileBytes }),
    programHeader({
      type: 4,
      flags: 4,
      offset: NOTE_OFFSET,
      address: LOAD_ADDRESS + NOTE_OFFSET,
      sizeBytes: NOTE_BYTES,
    }),
    pvhNote(),
    code,
  ]);
}

function elfHeader(): Buffer {
  const header = Buffer.alloc(ELF_HEADER_BYTES);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // "\x7fELF", 64 bit, little endian, version 1
  header.writeUInt16LE(2, 16); // e_type: an executable
  header.writeUInt16LE(62, 18); // e_machine: x86-64
  header.writeUInt32LE(1, 20); // e_version
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS + ENTRY_OFFSET), 24); // e_entry
  header.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // e_phoff: right behind this header
  header.writeUInt16LE(ELF_HEADER_BYTES, 52); // e_ehsize
  header.writeUInt16LE(PROGRAM_HEADER_BYTES, 54); // e_phentsize
  header.writeUInt16LE(2, 56); // e_phnum
  return header;
}

function programHeader(segment: {
  type: number;
  flags: number;
  offset: number;
  address: number;
  sizeBytes: number;
}): Buffer {
  const header = Buffer.alloc(PROGRAM_HEADER_BYTES);
  header.writeUInt32LE(segment.type, 0);
  header.writeUInt32LE(segment.flags, 4);
  header.writeBigUInt64LE(BigInt(segment.offset), 8);
  header.writeBigUInt64LE(BigInt(segment.address), 16); // virtual
  header.writeBigUInt64LE(BigInt(segment.address), 24); // physical
  header.writeBigUInt64LE(BigInt(segment.sizeBytes), 32); // in the file
  header.writeBigUInt64LE(BigInt(segment.sizeBytes), 40); // in memory
  header.writeBigUInt64LE(4n, 48); // alignment
  return header;
}

/** The ELF note that makes a file a PVH kernel: owner "Xen", type 18, the 32-bit entry point. */
function pvhNote(): Buffer {
  const note = Buffer.alloc(NOTE_BYTES);
  note.writeUInt32LE(4, 0); // bytes of the owner's name
  note.writeUInt32LE(8, 4); // bytes of the address
  note.writeUInt32LE(18, 8); // XEN_ELFNOTE_PHYS32_ENTRY
  note.write('Xen\0', 12, 'latin1');
  note.writeBigUInt64LE(BigInt(LOAD_ADDRESS + ENTRY_OFFSET), 16);
  return note;
}

// PVH starts the guest in 32-bit protected mode with flat segments, paging and interrupts off.
// esi: where the guest reads; bl: the type of the SMBIOS structure at hand.
const printOemStrings = (afterCharacter: readonly Piece[]): Piece[] => [
  // The SMBIOS 3 entry point stands on a 16-byte boundary of the last 64 KiB below 1 MiB.
  instruction('mov esi, 0xf0000', 0xbe, ...littleEndian32(0xf0000)),
  label('scan'),
  instruction('cmp dword [esi], "_SM3"', 0x81, 0x3e, ...Buffer.from('_SM3', 'latin1')),
  jump('je', 'found'),
  instruction('add esi, 16', 0x83, 0xc6, 16),
  instruction('cmp esi, 0x100000', 0x81, 0xfe, ...littleEndian32(0x100000)),
  jump('jb', 'scan'),
  jump('jmp', 'end'),
  label('found'),
  instruction('mov esi, [esi+16] (the table)', 0x8b, 0x76, 16),
  label('structure'),
  instruction('mov bl, [esi] (its type)', 0x8a, 0x1e),
  instruction('cmp bl, 127 (end of table)', 0x80, 0xfb, 127),
  jump('je', 'end'),
  instruction('movzx ecx, byte [esi+1] (its length without strings)', 0x0f, 0xb6, 0x4e, 1),
  instruction('add esi, ecx', 0x01, 0xce),
  instruction('cmp byte [esi], 0', 0x80, 0x3e, 0),
  jump('jne', 'character'),
  instruction('inc esi (no strings: two NULs)', 0x46),
  jump('jmp', 'last-string'),
  label('character'),
  instruction('lodsb', 0xac),
  instruction('cmp bl, 11 (OEM strings)', 0x80, 0xfb, 11),
  jump('jne', 'passed'),
  instruction('mov ah, al', 0x88, 0xc4),
  instruction('test al, al', 0x84, 0xc0),
  jump('jne', 'print'),
  instruction('mov al, newline', 0xb0, 0x0a),
  label('print'),
  call('put'),
  instruction('mov al, ah', 0x88, 0xe0),
  ...afterCharacter,
  label('passed'),
  instruction('test al, al', 0x84, 0xc0),
  jump('jne', 'character'),
  instruction('cmp byte [esi], 0 (was it the last string?)', 0x80, 0x3e, 0),
  jump('jne', 'character'),
  label('last-string'),
  instruction('inc esi', 0x46),
  jump('jmp', 'structure'),
  label('end'),
  withAddress('mov esi, marker', 'marker', 0xbe),
  label('marker-character'),
  instruction('lodsb', 0xac),
  instruction('test al, al', 0x84, 0xc0),
  jump('je', 'printed'),
  call('put'),
  jump('jmp', 'marker-character'),
  label('printed'),
];

const PRINT_DIGEST: readonly Piece[] = [
  instruction('cmp al, "="', 0x3c, ...Buffer.from('=', 'latin1')),
  jump('jne', 'passed'),
  call('sha-256'),
  instruction('mov bl, 11', 0xb3, 11),
  instruction('mov al, 1 (not the end of a string)', 0xb0, 1),
];

/** Writes al to the serial port, once that has room; changes cl and edx. */
const PUT_BYTE: readonly Piece[] = [
  label('put'),
  instruction('mov cl, al', 0x88, 0xc1),
  instruction('mov edx, 0x3fd (line status)', 0xba, ...littleEndian32(0x3fd)),
  label('put-wait'),
  instruction('in al, dx', 0xec),
  instruction('test al, 0x20 (transmitter empty)', 0xa8, 0x20),
  jump('je', 'put-wait'),
  instruction('mov dl, 0xf8', 0xb2, 0xf8),
  instruction('mov al, cl', 0x88, 0xc8),
  instruction('out dx, al', 0xee),
  instruction('ret', 0xc3),
];

const HALT: readonly Piece[] = [label('halt'), instruction('hlt', 0xf4), jump('jmp', 'halt')];

const POWER_OFF: readonly Piece[] = [
  label('power-off'),
  // cloud-hypervisor's sleep control register: sleep type 5, enable. On QEMU it is a status register that ignores this.
  instruction('mov edx, 0x600', 0xba, ...littleEndian32(0x600)),
  instruction('mov al, 0x34', 0xb0, 0x34),
  instruction('out dx, al', 0xee),
  // QEMU's PM1 control register: sleep type 0, enable.
  instruction('mov dl, 4', 0xb2, 4),
  instruction('mov ax, 0x2000', 0x66, 0xb8, 0x00, 0x20),
  instruction('out dx, ax', 0x66, 0xef),
  ...HALT,
];

// The power button raises an interrupt: cloud-hypervisor's generic event device on the line it was given, QEMU's SCI on
// line 9. Every line from 5 on is routed to a non-maskable interrupt, which wakes a halted CPU without a set-up local
// APIC; its handler is `power-off`. (The lines below belong to timer, keyboard and serial ports.)
const IO_APIC = 0xfec0_0000;
const LISTEN_FOR_POWER_BUTTON: readonly Piece[] = [
  withAddress('lgdt [gdt-pointer]', 'gdt-pointer', 0x0f, 0x01, 0x15),
  // Gate 2 (NMI): code segment 8, 32-bit interrupt gate, present; the offset's halves around that.
  withAddress('mov eax, power-off', 'power-off', 0xb8),
  instruction('mov edi, IDT + 16', 0xbf, ...littleEndian32(IDT_ADDRESS + 16)),
  instruction('mov [edi], ax', 0x66, 0x89, 0x07),
  instruction('mov word [edi+2], 8', 0x66, 0xc7, 0x47, 2, 0x08, 0x00),
  instruction('mov word [edi+4], 0x8e00', 0x66, 0xc7, 0x47, 4, 0x00, 0x8e),
  instruction('shr eax, 16', 0xc1, 0xe8, 16),
  instruction('mov [edi+6], ax', 0x66, 0x89, 0x47, 6),
  withAddress('lidt [idt-pointer]', 'idt-pointer', 0x0f, 0x01, 0x1d),
  // QEMU's PM1 enable register: power button. Not a register of cloud-hypervisor.
  instruction('mov edx, 0x602', 0xba, ...littleEndian32(0x602)),
  instruction('mov ax, 0x100', 0x66, 0xb8, 0x00, 0x01),
  instruction('out dx, ax', 0x66, 0xef),
  // Redirection entry N is in registers 0x10+2N (mode) and 0x11+2N (destination CPU 0, as after reset).
  instruction('mov edi, IO_APIC', 0xbf, ...littleEndian32(IO_APIC)),
  instruction('mov ecx, 0x10 + 2 * 5', 0xb9, ...littleEndian32(0x10 + 2 * 5)),
  label('route'),
  instruction('mov [edi], ecx (select)', 0x89, 0x0f),
  instruction('mov dword [edi+16], 0x400 (NMI, edge, unmasked)', 0xc7, 0x47, 16, ...littleEndian32(0x400)),
  instruction('add ecx, 2', 0x83, 0xc1, 2),
  instruction('cmp ecx, 0x40', 0x83, 0xf9, 0x40),
  jump('jb', 'route'),
];

const AWAIT_POWER_BUTTON: readonly Piece[] = [
  label('await'),
  instruction('hlt', 0xf4),
  jump('jmp', 'await'),
  ...POWER_OFF,
  label('gdt'),
  { bytes: [0, 0, 0, 0, 0, 0, 0, 0] },
  { bytes: [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0] }, // 8: flat 32-bit code
  label('gdt-pointer'),
  withAddress('limit, gdt', 'gdt', 15, 0),
  label('idt-pointer'),
  instruction('limit (gates 0 to 2), IDT', 23, 0, ...littleEndian32(IDT_ADDRESS)),
];

const AFTER_PRINTING: Record<AfterPrinting, readonly Piece[]> = {
  'power-off': POWER_OFF,
  stay: HALT,
  reboot: [
    instruction('mov al, 0xfe (pulse the reset line)', 0xb0, 0xfe),
    instruction('out 0x64, al', 0xe6, 0x64),
    ...HALT,
  ],
  'await-power-button': AWAIT_POWER_BUTTON,
  flood: [
    label('flood'),
    instruction('mov al, "x"', 0xb0, ...Buffer.from('x', 'latin1')),
    call('put'),
    jump('jmp', 'flood'),
  ],
};
