// What is made of samples: some of it cut out, doubled, or replaced, and bytes that never were one.
import fc from 'fast-check';

/** Bytes that mean something to somebody. */
const PIECES = [
  '\0',
  '\n',
  '\r\n',
  '"',
  "'",
  '\\',
  ',',
  '=',
  '[',
  ']',
  '{',
  '}',
  ':',
  '-',
  '--',
  '$',
  '\xff',
  '\u2028',
  '9'.repeat(20),
  'null',
  '-1',
  '1e999',
  '__proto__',
  '..',
  ' ',
];

/** A sample with some of it cut out, doubled, or replaced. */
export function mutated(samples: readonly string[]): fc.Arbitrary<Buffer> {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(12),
    piece: fc.oneof(
      fc.constantFrom(...PIECES),
      fc.string({ maxLength: 8 }),
      fc
        .tuple(fc.constantFrom(...PIECES), fc.integer({ min: 1, max: 3_000 }))
        .map(([piece, times]) => piece.repeat(times)),
    ),
  });
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(fc.constantFrom(...samples), fc.array(edit, { minLength: 1, maxLength: 6 }))
        .map(([sample, edits]) => {
          let text = sample;
          for (const { at, cut, piece } of edits) {
            const offset = Math.floor(at * text.length);
            text = text.slice(0, offset) + piece + text.slice(offset + cut);
          }
          return Buffer.from(text, 'latin1');
        }),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(...samples), fc.nat(500))
        .map(([sample, times]) => Buffer.from(sample.repeat(times % 40))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2_000 }).map(bytes => Buffer.from(bytes)) },
  );
}
