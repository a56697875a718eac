// Takes the console of the test guest on standard input and prints its credentials decoded, as a systemd there would have them.
import { text } from 'node:stream/consumers';
import { decodeOemStrings } from '../test/guests/pvh/decode-oem-strings.js';

for (const [name, value] of decodeOemStrings(await text(process.stdin))) {
  console.log(`${name} = ${JSON.stringify(value.toString('utf8'))}`);
}
