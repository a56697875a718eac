// What the programs say of themselves: examples that work, man pages that a reader gets whole.
import { spawnSync } from 'node:child_process';
import { type Command, CommanderError } from 'commander';
import t from 'tap';
import { renderManPage } from '../../docs/man-page.js';
import { listManPages } from '../../docs/man-pages.js';
import { CLI_EXAMPLES } from '../../src/cli/cli-examples.js';
import { buildProgram } from '../../src/cli/program.js';
import { buildDaemonProgram, DAEMON_EXAMPLES } from '../../src/daemon-program.js';
import { splitCommand } from '../../src/definition/split-command.js';
import type { Examples } from '../../src/examples.js';
import { listBlocks, listInline, PAGES } from '../setup/pages.js';
import { whyNotOnPath } from '../setup/programs.js';

const noAction = async () => {};
const programs: [build: () => Command, examples: Examples][] = [
  [buildProgram, CLI_EXAMPLES],
  [() => buildDaemonProgram({ run: noAction, check: noAction }), DAEMON_EXAMPLES],
];

/** The command that a line runs. @throws CommanderError where the program refuses it */
function parse(program: Command, line: string): string {
  let ran = '';
  for (const command of [program, ...program.commands])
    command.exitOverride().action(() => {
      ran = command.name();
    });
  const typed = new RegExp(`\\b${program.name()}\\b([^|)]*)`).exec(line)?.[1] ?? '';
  try {
    program.configureOutput({ writeOut: () => {} }).parse(splitCommand(typed), { from: 'user' });
  } catch (error) {
    // --version and --help end it, too.
    if (!(error instanceof CommanderError) || error.exitCode !== 0) throw error;
  }
  return ran;
}

for (const [build, examples] of programs) {
  t.test(`every command of ${build().name()} has examples, and takes them`, async t => {
    const program = build();
    const names = [program, ...program.commands].map(command => command.name());
    t.strictSame(Object.keys(examples).toSorted(), names.toSorted());
    for (const [name, lines] of Object.entries(examples))
      for (const [line] of lines) {
        const expected =
          name === 'vmsecretctl' ? splitCommand(line).find(word => names.indexOf(word) > 0) : name;
        t.equal(parse(build(), line), expected, line);
      }
  });
}

for (const [build] of programs) {
  const name = build().name();
  t.test(`every ${name} command line of the documentation is one that the program takes`, async t => {
    const typed = new RegExp(`(^|sudo |\\()${name} `);
    const lines = PAGES.flatMap(page => [
      ...listBlocks(page)
        .filter(({ language }) => language === 'sh')
        .flatMap(({ text }) => text.split('\n')),
      ...listInline(page),
    ])
      .map(line => line.replace(/\s#.*/, '').replaceAll('…', ''))
      // A message in the table of docs/systemd.md.
      .filter(line => typed.test(line) && !line.startsWith('vmsecretd does not answer'));
    t.ok(lines.length > (name === 'vmsecretctl' ? 20 : 3), `there are ${lines.length}`);
    for (const line of new Set(lines)) t.doesNotThrow(() => parse(build(), line), line);
  });
}

t.test('a man page names every command and option of its program', async t => {
  const pages = new Map(listManPages().map(page => [page.name, renderManPage(page)]));
  t.equal(pages.size, 3);
  for (const [build] of programs) {
    const program = build();
    const text = pages.get(program.name())?.replaceAll('\\-', '-');
    for (const command of program.commands) {
      t.match(text, `"COMMAND ${command.name()}"`);
      for (const { long } of command.options) t.match(text, `.B "${long}`, `${command.name()} ${long}`);
    }
  }
  t.match(pages.get('vmsecretd-launch'), '.B "vmsecretd\\-launch \\-\\-stop NAME"');
});

const skip = whyNotOnPath('groff');
t.test('troff finds nothing to warn of in the man pages', { skip }, async t => {
  for (const page of listManPages()) {
    const input = renderManPage(page);
    const { status, stdout, stderr } = spawnSync('groff', ['-man', '-ww', '-Tascii'], {
      input,
      encoding: 'utf8',
    });
    t.equal(status, 0);
    t.equal(stderr, '', page.name);
    t.match(stdout, page.name);
  }
});

t.test('a line that begins with a dot or has a backslash is text in a man page', async t => {
  const section = { title: 'A', content: ['.so /etc/passwd\n\\fBbold'] };
  const page = renderManPage({ name: 'a', section: 1, summary: 'b', version: '1', sections: [section] });
  t.match(page, '\n\\&.so /etc/passwd\n\\efBbold\n');
});
