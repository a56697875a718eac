// What we use of the npm package bcrypt-pbkdf, which brings no types.
declare module 'bcrypt-pbkdf' {
  /** Fills `key`; 0 when done, -1 when an argument is refused. */
  export function pbkdf(
    passphrase: Uint8Array,
    passphraseLength: number,
    salt: Uint8Array,
    saltLength: number,
    key: Uint8Array,
    keyLength: number,
    rounds: number,
  ): number;
}
