import { test } from 'tap';
import { Type } from 'typebox';
import { createJsonValidator, formatFieldProblems } from '../src/json-validator.js';

const find = createJsonValidator(
  Type.Object(
    {
      mode: Type.Optional(Type.Union([Type.Literal('on'), Type.Literal('off')])),
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
  t.equal(formatFieldProblems(find([])), 'the document must be object');
});

test('tells a wrong field beside a union whose name it begins with', async t => {
  t.strictSame(
    find({ mode: 'of', modes: 0 }).map(problem => problem.field),
    ['mode', 'modes'],
  );
});

test('tells no more than a person reads, however much is wrong', async t => {
  const document = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, at) => [`k${'x'.repeat(500)}${at}`, 1]),
  );
  const text = formatFieldProblems(find(document));
  t.ok(text.length < 8_000, `${text.length} characters`);
  t.match(text, /; and 4980 more$/);
});
