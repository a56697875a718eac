// Reads what people and Nix write for the daemon: JSON in a file that, for root, is root's own.
import { parseJsonOnce } from './json-keys.js';
import { explainReadError, ReadRefusedError, readRegularFile } from './system/read-regular-file.js';
import type { Trust } from './system/trusted-path.js';

/** As much as the daemon takes in a PUT. */
const LIMIT_BYTES = 1024 * 1024;

/** Its message follows the file's name; its cause is the system's error, if there was one. */
class JsonFileError extends Error {
  override readonly name = 'JsonFileError';
}

/** @throws JsonFileError: it cannot be read, or is no JSON */
export async function readJsonFile(path: string, trust: Trust): Promise<unknown> {
  const bytes = await readRegularFile(path, { limitBytes: LIMIT_BYTES, trust }).catch(error => {
    const why =
      error instanceof ReadRefusedError ? `cannot be read: ${error.message}` : explainReadError(error);
    throw new JsonFileError(why ?? 'cannot be read: unknown error', { cause: error });
  });
  try {
    return parseJsonOnce(bytes.toString('utf8'));
  } catch (error) {
    throw new JsonFileError(`is not JSON: ${error instanceof Error ? error.message : ''}`, { cause: error });
  }
}
