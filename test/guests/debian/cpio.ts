// A newc cpio archive in memory, to be appended to an initramfs: files, symlinks and the folders above them, all root's.

export type CpioEntry =
  | { readonly path: string; readonly content: string | Buffer; readonly mode?: number }
  | { readonly path: string; readonly symlink: string };

interface Record {
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

const DIRECTORY = 0o040755;
const REGULAR_FILE = 0o100000;
const SYMLINK = 0o120777;

/** Paths are relative to the root (`etc/hostname`); a later archive's file replaces an earlier one's. */
export function buildCpio(entries: readonly CpioEntry[]): Buffer {
  const records = [...parentsOf(entries).map(directoryRecord), ...entries.map(toRecord)];
  const trailer = { path: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) };
  return Buffer.concat([...records, trailer].map((record, index) => encode(record, index + 1)));
}

function parentsOf(entries: readonly CpioEntry[]): string[] {
  const parents = new Set<string>();
  for (const { path } of entries) {
    const names = path.split('/');
    for (let depth = 1; depth < names.length; depth++) parents.add(names.slice(0, depth).join('/'));
  }
  return [...parents];
}

function directoryRecord(path: string): Record {
  return { path, mode: DIRECTORY, content: Buffer.alloc(0) };
}

function toRecord(entry: CpioEntry): Record {
  if ('symlink' in entry) return { path: entry.path, mode: SYMLINK, content: Buffer.from(entry.symlink) };
  return {
    path: entry.path,
    mode: REGULAR_FILE | (entry.mode ?? 0o644),
    content: Buffer.from(entry.content as Buffer),
  };
}

function encode({ path, mode, content }: Record, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (4 numbers), length of the name, checksum (unused)
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([pad(Buffer.concat([Buffer.from(header), name])), pad(content)]);
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
