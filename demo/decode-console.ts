// Takes the console of the test guest on standard input and prints its credentials decoded, as a systemd there would have them.
import { text } from 'node:stream/consumers';
import { decodeOemStrings } from '../test/guests/pvh/decode-oem-strings.js';

try {
  for (const [name, value] of decodeOemStrings(await text(process.stdin))) {
    console.log(`${name} = ${JSON.stringify(value.toString('utf8'))}`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
