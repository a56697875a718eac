import t from 'tap';
import { buildProgram } from '../../src/cli/program.js';
import { dropWideningSuggestion, suggestCommand } from '../../src/cli/suggest.js';

const program = buildProgram();
const suggestionFor = (word: string) => /mean (.*)\?/.exec(suggestCommand(word, program))?.[1];

t.test('suggests a command that changes VMs for a typo of one letter only', async t => {
  const typos = { strat: 'start', stat: 'status', star: 'start', stpo: 'stop', sotp: 'stop', kil: 'kill' };
  const more = { delet: 'delete', restar: 'restart', shutdwon: 'shutdown', eddit: 'edit', pasue: 'pause' };
  for (const [word, name] of Object.entries({ ...typos, ...more })) t.equal(suggestionFor(word), name, word);
  for (const word of ['top', 'stats', 'stap1', 'poweroff', 'destroy', 'sart-all', 'rmi', 'mi', 'run-all', ''])
    t.notMatch(suggestionFor(word) ?? '', /^(start|stop|restart|rm|kill|delete|edit|reset|reboot)$/, word);
});

t.test('suggests commands that look for more than one letter', async t => {
  const near = { statsu: 'status', statuss: 'status', lsit: 'list', isnpect: 'inspect', verison: 'version' };
  for (const [word, name] of Object.entries(near)) t.equal(suggestionFor(word), name, word);
  t.equal(suggestionFor('frobnicate'), undefined);
});

t.test('keeps a suggestion that would widen a command for a typo of one letter only', async t => {
  const suggest = (typed: string, option: string) =>
    dropWideningSuggestion(`unknown option '${typed}'\n(Did you mean ${option}?)`).includes('mean');
  t.ok(suggest('--al', '--all'));
  t.notOk(suggest('--fall', '--all'));
  t.notOk(suggest('--date', '--outdated'));
  t.ok(suggest('--wiat', '--wait'));
});
