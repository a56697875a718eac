import { test } from 'tap';
import { printable, printableConsoleLine } from '../../src/system/printable.js';

test('leaves out what draws on a terminal or types into it, and keeps the text', async t => {
  const cases: [text: string, shown: string][] = [
    ['plain text, ümläut, 日本', 'plain text, ümläut, 日本'],
    ['\x1b[31mred\x1b[0m', 'red'],
    ['\x1b[2J\x1b[1;1Hup', 'up'],
    ['\x1b[?25l\x1b[>4;1mhidden', 'hidden'],
    ['\x1b]0;owned\x07title', 'title'],
    ['\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\', 'link'],
    ['\x1bP$q"p\x1b\\device', 'device'],
    ['\x1b[6nreport', 'report'],
    ['\x9b31mC1', 'C1'],
    ['\x9d0;owned\x9cC1', 'C1'],
    ['\x1b(0charset\x1b7', 'charset'],
    ['a\rb\x08c\x07d\x00e\u202ef\u200bg', 'a b c d e f g'],
    ['\x1b', ' '],
    ['\x1b]0;never ends', '0;never ends'],
  ];
  for (const [text, shown] of cases)
    t.equal(printableConsoleLine(text).trim(), shown.trim(), JSON.stringify(text));
});

test('no byte of control is left, whatever comes', async t => {
  for (let code = 0; code < 0x2_00; code += 1)
    for (const text of [`a${String.fromCharCode(code)}b`, `\x1b${String.fromCharCode(code)}[31m`])
      for (const clean of [printable, printableConsoleLine]) t.notMatch(clean(text), /\p{Cc}/u);
});
