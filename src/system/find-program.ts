import { access, constants } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

/** The absolute path of a program by name or path; undefined where nothing executable is there. */
export async function findProgram(name: string, searchPath: string): Promise<string | undefined> {
  const candidates = isAbsolute(name)
    ? [name]
    : searchPath
        .split(':')
        .filter(isAbsolute)
        .map(directory => join(directory, name));
  for (const candidate of candidates) {
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return candidate;
  }
  return undefined;
}
