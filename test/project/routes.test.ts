import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { buildProgram } from '../../src/cli/program.js';
import { socketFolder } from '../setup/socket-folder.js';
import { spawnNode } from '../setup/spawn-node.js';

interface OpenApi {
  paths: Record<string, Record<string, { parameters?: Parameter[] }>>;
}

interface Parameter {
  in: 'path' | 'query';
  name: string;
  schema: { anyOf?: { enum?: unknown[]; const?: unknown }[]; enum?: unknown[] };
}

/** What a daemon without a definition says of its routes. */
async function readOpenApi(t: Test): Promise<OpenApi> {
  const folder = socketFolder(t);
  const places = ['--runtime-directory', '--state-directory', '--definitions'].flatMap(flag => [
    flag,
    folder,
  ]);
  const daemon = spawnNode(['dist/src/daemon.js', '--config', join(folder, 'config.json'), ...places]);
  t.teardown(async () => {
    daemon.kill();
    await once(daemon, 'exit');
  });
  for await (const line of createInterface(daemon.stdout)) if (JSON.parse(line).msg === 'listening') break;
  const asked = request({ socketPath: join(folder, 'admin.sock'), path: '/openapi.json' }).end();
  const [answer] = await once(asked, 'response');
  return (await json(answer)) as OpenApi;
}

t.test('docs/http-api.md lists every route of openapi.json, and no other', async t => {
  const { paths } = await readOpenApi(t);
  const served = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path.replace('{name}', 'NAME')}`),
  );
  const page = readFileSync('docs/http-api.md', 'utf8');
  const documented = [...page.matchAll(/^\| `([A-Z]+ \/[^`?]*)/gm)].map(([, route]) => route);
  // It does not list itself.
  t.strictSame(documented.toSorted(), [...served, 'GET /openapi.json'].toSorted());
});

t.test('vmsecretctl has a command for every verb of a VM in openapi.json', async t => {
  const { paths } = await readOpenApi(t);
  const verbs = Object.entries(paths).flatMap(([path, methods]) => {
    const verb = /^\/v1\/vms\/\{name\}\/(\w+)$/.exec(path)?.[1];
    return verb === undefined || !('post' in methods) ? [] : [verb];
  });
  const commands = buildProgram().commands.map(command => command.name());
  // That is the launcher's.
  const missing = verbs.filter(verb => verb !== 'prepare' && !commands.includes(verb));
  t.strictSame(missing, []);
  t.ok(verbs.length > 7, 'there are verbs');
});

t.test('docs/http-api.md names every query parameter of openapi.json, with each value it takes', async t => {
  const { paths } = await readOpenApi(t);
  const page = readFileSync('docs/http-api.md', 'utf8');
  const parameters = queryParameters(paths);
  t.strictSame([...parameters.keys()].toSorted(), [
    'compared',
    'directory',
    'follow',
    'grace',
    'invocation',
    'timeout',
    'vm',
    'wait',
  ]);
  for (const [name, values] of parameters) {
    t.match(page, `?${name}=`, name);
    for (const value of values) t.match(page, `${name}=${value}`, `${name}=${value}`);
  }
  const documented = new Set([...page.matchAll(/`\?(\w+)=/g)].map(([, name = '']) => name));
  t.strictSame([...documented].toSorted(), [...parameters.keys()].toSorted(), 'and no other');
});

t.test(
  'vmsecretctl has an option or an argument for every query parameter, with the same values',
  async t => {
    const parameters = queryParameters((await readOpenApi(t)).paths);
    const { commands } = buildProgram();
    const find = (command: string, long: string) =>
      commands.find(candidate => candidate.name() === command)?.options.find(option => option.long === long);
    t.ok(find('console', '--no-follow'), 'follow');
    t.ok(find('start', '--timeout'), 'timeout');
    t.ok(find('stop', '--grace'), 'grace');
    t.equal(commands.find(command => command.name() === 'events')?.registeredArguments.length, 1, 'vm');
    t.strictSame(find('start', '--wait')?.argChoices?.toSorted(), parameters.get('wait')?.toSorted());
  },
);

function queryParameters(paths: OpenApi['paths']): Map<string, string[]> {
  const parameters = Object.values(paths)
    .flatMap(methods => Object.values(methods))
    .flatMap(method => method.parameters ?? [])
    .filter(parameter => parameter.in === 'query');
  return new Map(
    parameters.map(({ name, schema }) => [
      name,
      [schema, ...(schema.anyOf ?? [])].flatMap(({ enum: values = [], ...rest }) =>
        [...values, ...('const' in rest ? [rest.const] : [])].map(String),
      ),
    ]),
  );
}
