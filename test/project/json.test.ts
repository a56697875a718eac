// JSON of another process is checked, and not taken for what it should be.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';

const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts'))
  .map(path => join('src', path));

/** `JSON.parse(…) as Type`, and the same of what a client of the daemon got. */
function casts(path: string): string[] {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const look = (node: ts.Node): void => {
    if (ts.isAsExpression(node)) {
      const text = node.expression.getText(file);
      if (/JSON\.parse\(|\bclient\.(call|wait)\(/.test(text)) found.push(`${path}: ${node.getText(file)}`);
    }
    ts.forEachChild(node, look);
  };
  look(file);
  return found;
}

t.test('no JSON that was parsed is given a type by "as"', async t => {
  t.strictSame(sources.flatMap(casts), []);
});
