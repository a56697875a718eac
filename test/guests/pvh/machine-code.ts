// Just enough of an assembler for the test guest: bytes, labels, and jumps whose distance is filled in.

/** A piece of the program: bytes as they are, a name for this place, or a jump to a named place. */
export type Piece =
  | { readonly bytes: readonly number[] }
  | { readonly label: string }
  | { readonly jump: 'short' | 'call'; readonly opcode: number; readonly target: string }
  | { readonly addressOf: string; readonly opcode: readonly number[] };

/** An instruction with its mnemonic, which is only there to be read. */
export function instruction(_mnemonic: string, ...bytes: readonly number[]): Piece {
  return { bytes };
}

export function label(name: string): Piece {
  return { label: name };
}

/** A two-byte jump; `mnemonic` is `jmp`, `je`, `jne` or `jb`. */
export function jump(mnemonic: keyof typeof SHORT_JUMPS, target: string): Piece {
  return { jump: 'short', opcode: SHORT_JUMPS[mnemonic], target };
}

export function call(target: string): Piece {
  return { jump: 'call', opcode: 0xe8, target };
}

/** An instruction whose last four bytes are the absolute address of a label. */
export function withAddress(_mnemonic: string, target: string, ...opcode: readonly number[]): Piece {
  return { addressOf: target, opcode };
}

export function littleEndian32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

const SHORT_JUMPS = { jmp: 0xeb, je: 0x74, jne: 0x75, jb: 0x72 } as const;

/** Lays the pieces out from `origin` on; throws for an unknown label and for a short jump of more than 127 bytes. */
export function assemble(origin: number, pieces: readonly Piece[]): Buffer {
  const labels = new Map<string, number>();
  let address = origin;
  for (const piece of pieces) {
    if ('label' in piece) labels.set(piece.label, address);
    address += sizeOf(piece);
  }
  const addressOf = (name: string): number => {
    const found = labels.get(name);
    if (found === undefined) throw new Error(`no label ${name}`);
    return found;
  };
  const output: number[] = [];
  for (const piece of pieces) {
    const next = origin + output.length + sizeOf(piece);
    if ('bytes' in piece) output.push(...piece.bytes);
    if ('addressOf' in piece) output.push(...piece.opcode, ...littleEndian32(addressOf(piece.addressOf)));
    if ('jump' in piece) {
      const distance = addressOf(piece.target) - next;
      if (piece.jump === 'call') output.push(piece.opcode, ...littleEndian32(distance));
      else if (distance < -128 || distance > 127)
        throw new Error(`${piece.target} is too far for a short jump`);
      else output.push(piece.opcode, distance & 0xff);
    }
  }
  return Buffer.from(output);
}

function sizeOf(piece: Piece): number {
  if ('bytes' in piece) return piece.bytes.length;
  if ('addressOf' in piece) return piece.opcode.length + 4;
  if ('jump' in piece) return piece.jump === 'call' ? 5 : 2;
  return 0;
}
