/** Why an identity file is of no use; the message is a clause about the file, without its path or content. */
export class IdentityFileError extends Error {
  override readonly name = 'IdentityFileError';
}
