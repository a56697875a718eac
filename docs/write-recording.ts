// Reads what a program printed on a terminal and writes it as an SVG picture of that terminal:
//   script -qec 'npm run --silent demo' /dev/null | node dist/docs/write-recording.js > docs/demo.svg
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';

const COLOURS: Record<string, string> = {
  '\x1b[32m': '#3fb950',
  '\x1b[31m': '#f85149',
  '\x1b[2m': '#8b949e',
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals mark colours with one.
const SEQUENCE = /(\x1b\[\d*m)/;
const COLUMNS = 110;
const CHARACTER_WIDTH = 7.8;
const LINE_HEIGHT = 18;
const MARGIN = 16;

const escapeXml = (value: string) =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(' ', '\u00a0');

// As a terminal of that many columns folds them; the lines that are as long have no colours.
const lines = (await text(process.stdin))
  .trimEnd()
  .split(/\r?\n/)
  .flatMap(line => line.match(new RegExp(`.{1,${COLUMNS}}`, 'g')) ?? ['']);
const columns = Math.max(...lines.map(line => stripVTControlCharacters(line).length));
const width = Math.ceil(columns * CHARACTER_WIDTH + 2 * MARGIN);
const height = lines.length * LINE_HEIGHT + 2 * MARGIN;

/** The parts of a line between escape sequences, each in the style of the sequence before it. */
function drawLine(line: string): string {
  let style = '';
  return line
    .split(SEQUENCE)
    .map(part => {
      if (part.startsWith('\x1b')) {
        const colour = COLOURS[part];
        style = part === '\x1b[1m' ? ' font-weight="bold"' : colour ? ` fill="${colour}"` : '';
        return '';
      }
      return style === '' ? escapeXml(part) : `<tspan${style}>${escapeXml(part)}</tspan>`;
    })
    .join('');
}

const drawn = lines.map(
  (line, index) =>
    `<text x="${MARGIN}" y="${MARGIN + (index + 0.75) * LINE_HEIGHT}">${drawLine(line)}</text>`,
);
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>npm run demo on a terminal</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#e6edf3">
${drawn.join('\n')}
</g>
</svg>
`);
