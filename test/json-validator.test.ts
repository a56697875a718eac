import { test } from 'tap';
import { Type } from 'typebox';
import { createJsonValidator, formatFieldProblems } from '../src/json-validator.js';

const find = createJsonValidator(
  Type.Object(
    {
      mode: Type.Optional(Type.Enum(['on', 'off'])),
      modes: Type.Optional(Type.Integer({ minimum: 1 })),
      'a/b': Type.Optional(Type.Object({ c: Type.String() }, { additionalProperties: false })),
      words: Type.Optional(Type.Union([Type.Array(Type.String()), Type.String()])),
    },
    { additionalProperties: false },
  ),
);

test('finds nothing wrong with what is valid', async t => {
  t.strictSame(find({ mode: 'on', modes: 1, 'a/b': { c: '' }, words: ['a'] }), []);
});

test('tells each field that is wrong and what would be accepted', async t => {
  t.strictSame(find({ mode: 'of', words: 7, 'a/b': { c: 1 } }), [
    { field: 'mode', message: 'must be "on" or "off"' },
    { field: 'a/b.c', message: 'must be string' },
    { field: 'words', message: 'must be a list of strings or a string' },
  ]);
});

test('names an unknown key and the nearest known one', async t => {
  t.strictSame(find({ mdoe: 'on' }), [
    { field: '', message: 'has the unknown key "mdoe". Did you mean "mode"?' },
  ]);
  t.equal(formatFieldProblems(find([])), 'it must be object');
});

test('tells a wrong field beside a union whose name it begins with', async t => {
  t.strictSame(
    find({ mode: 'of', modes: 0 }).map(problem => problem.field),
    ['mode', 'modes'],
  );
});

test('shortens a long key, in a field and in a message, and looks for no name near it', async t => {
  const long = 'k'.repeat(1_000_000);
  const [unknown] = find({ [long]: 1 });
  t.equal(unknown?.message, `has the unknown key "${'k'.repeat(60)}…".`);
  const text = formatFieldProblems([{ field: long, message: 'is odd' }]);
  t.equal(text, `${'k'.repeat(60)}…: is odd`);
});

test('tells ten problems and counts the rest, in time that grows with their number alone', async t => {
  const findInLists = createJsonValidator(
    Type.Array(Type.Union([Type.Array(Type.String()), Type.String()]), { title: 'as preStart is' }),
  );
  const problems = findInLists(Array.from({ length: 100_000 }, () => 1));
  t.equal(problems.length, 100_000);
  const text = formatFieldProblems(problems);
  t.match(text, /^0: must be .*; 9: must be a list of strings or a string; and 99990 more$/);
  t.notMatch(text, '; 10: ');
  const keys = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`mod${index}`, 1]));
  t.match(formatFieldProblems(find(keys)), /"mod9". Did you mean "mode"\?; and 2 more$/);
});
