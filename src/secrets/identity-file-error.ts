/** What helps a key or a file that has a passphrase. */
export const PASSPHRASE_REMEDY = 'put its passphrase into a file and name that in "passphraseFiles"';

/** Why an identity file is of no use; the message is a clause about the file, without its path or content. */
export class IdentityFileError extends Error {
  override readonly name = 'IdentityFileError';
}
