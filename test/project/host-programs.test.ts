// src/system/host-programs.json is what the Nix package puts on PATH: whatever src runs by name must be in it.
import { readdirSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { HOST_PROGRAMS } from '../../src/system/host-programs.js';
import { runAs } from '../../src/system/run-as.js';

const declared = new Set<string>(Object.keys(HOST_PROGRAMS));

/** Files that run a program which the operator, or Node, names by its path. */
const RUNS_BY_PATH: Record<string, string> = {
  'src/delivery/deliverer-process.ts': 'process.execPath',
  'src/hypervisor/cloud-hypervisor/version.ts': 'hypervisors.*.path, resolved by findProgram',
  'src/secrets/plugin-identity.ts': 'age-plugin-*, resolved by findProgram',
  'src/cli/doctor/journal.ts': 'journalctl, by its name or path',
  'src/cli/doctor/units.ts': 'systemctl, by its name or path',
  'src/supervisor/daemon/daemon-child.ts': 'the VMM',
  'src/supervisor/daemon/pre-start.ts': 'preStart, resolved by findProgram',
};
const RUNNERS = /^(execa\w*|runAs)$/;

interface Run {
  file: string;
  line: number;
  /** What the program's name may be; undefined where it is only known when it runs. */
  names: readonly string[] | undefined;
}

/** The text of a string, or of the strings that a variable of the same file is set to; undefined for anything else. */
function namesOf(node: ts.Expression, source: ts.SourceFile): readonly string[] | undefined {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isArrayLiteralExpression(node)) return node.elements[0] && namesOf(node.elements[0], source);
  if (!ts.isIdentifier(node)) return undefined;
  const names: string[] = [];
  const visit = (child: ts.Node): void => {
    const isNamed =
      (ts.isBindingElement(child) || ts.isVariableDeclaration(child) || ts.isParameter(child)) &&
      ts.isIdentifier(child.name) &&
      child.name.text === node.text;
    if (isNamed && child.initializer !== undefined && ts.isStringLiteralLike(child.initializer))
      names.push(child.initializer.text);
    // readId('getent', …): every call of a function of this file that runs its parameter.
    if (isNamed && ts.isParameter(child) && ts.isFunctionDeclaration(child.parent)) {
      const index = child.parent.parameters.indexOf(child);
      names.push(...argumentsOf(child.parent.name?.text ?? '', index, source));
    }
    ts.forEachChild(child, visit);
  };
  visit(source);
  return names.length > 0 ? names : undefined;
}

function argumentsOf(name: string, index: number, source: ts.SourceFile): string[] {
  return callsIn(source, text => text === name).flatMap(call => {
    const argument = call.arguments[index];
    return argument !== undefined && ts.isStringLiteralLike(argument) ? [argument.text] : [];
  });
}

function callsIn(source: ts.SourceFile, isWanted: (name: string) => boolean): ts.CallExpression[] {
  const calls: ts.CallExpression[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && isWanted(node.expression.text))
      calls.push(node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return calls;
}

function findRuns(file: string, text = readFileSync(file, 'utf8')): Run[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  return callsIn(source, name => RUNNERS.test(name)).map(call => {
    const isRunAs = call.expression.getText(source) === 'runAs';
    const [first, second] = call.arguments;
    const program = isRunAs ? second : first;
    return {
      file,
      line: source.getLineAndCharacterOfPosition(call.getStart(source)).line + 1,
      names: program && namesOf(program, source),
    };
  });
}

/** What is neither declared, nor a path, nor allowed to be known only when it runs. */
function findUndeclared(runs: readonly Run[]): string[] {
  return runs.flatMap(({ file, line, names }) => {
    if (names === undefined)
      return file in RUNS_BY_PATH || isOfRunAs(file) ? [] : [`${file}:${line}: unknown`];
    return names
      .filter(name => !declared.has(name) && !isAbsolute(name))
      .map(name => `${file}:${line}: ${name}`);
  });
}

/** It runs what runAs made of its own arguments, which are looked at where runAs is called. */
const isOfRunAs = (file: string) => /\brunAs\(/.test(readFileSync(file, 'utf8'));

const SOURCES = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts') && !path.endsWith('.d.ts'))
  .map(path => join('src', path));

t.test('every program that src runs by name is declared', async t => {
  const runs = SOURCES.flatMap(file => findRuns(file));
  t.ok(runs.length >= 15, 'the calls are found');
  t.strictSame(findUndeclared(runs), []);
  t.strictSame(
    runAs({ uid: 1, gid: 1 }, ['true']).filter(word => /^[a-z]+$/.test(word)),
    ['prlimit', 'setpriv', 'true'],
  );
  t.ok(declared.has('prlimit') && declared.has('setpriv'), 'those of runAs');
  t.ok(declared.has('systemd-notify'), 'the one of the package systemd-notify');
  // vmsecretctl runs what people have on their own PATH: an editor, ssh.
  const daemon = SOURCES.filter(file => !file.startsWith('src/cli/'));
  const others = daemon.filter(file => /'(node:)?child_process'\)?;/.test(readFileSync(file, 'utf8')));
  t.strictSame(others, [], 'execa is the only way to run one');
});

t.test('a program that is not declared is found, however it is named', async t => {
  for (const text of [
    `execa('nmcli', [])`,
    `await execa(program, []); const program = 'nmcli';`,
    `function f({ program = 'nmcli' }) { execa(program) }`,
    `async function readId(program: string) { await execa(program) }; readId('getent'); readId('nmcli');`,
    `const [p, ...a] = runAs(ids, ['nmcli', '-x']);`,
  ])
    t.match(findUndeclared(findRuns('src/x.ts', text)), [/: nmcli$/], text);
});

t.test('every declared program is run', async t => {
  const texts = SOURCES.map(file => readFileSync(file, 'utf8')).join('\n');
  for (const program of declared) t.match(texts, `'${program}'`, program);
});
