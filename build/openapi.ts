// openapi.json: the routes with their schemas, and what those do not say: what a route gives that is not JSON, and its problems.
import swagger from '@fastify/swagger';
import type { FastifySchema, RouteOptions } from 'fastify';
import { pino } from 'pino';
import { ERROR_TABLE } from '../src/errors.js';
import { type AppTools, buildApp } from '../src/http/app.js';
import { PROBLEM_TYPE } from '../src/http/problem.js';
import { ProblemSchema, VmSchema } from '../src/http/schemas.js';
import { readVersion } from '../src/version.js';

const answer = (description: string, type: string, schema: object = { type: 'string' }) => ({
  description,
  content: { [type]: { schema } },
});
const AnyJson = answer('Done', 'application/json', { type: 'object', additionalProperties: true });
const VmJson = answer('The VM', 'application/json', VmSchema);
const header = (description: string) => ({ type: 'string', description });
const ETAG = header('Entity tag of the definition, for If-Match');
const LOCATION = header('Path of the VM');
const NOTHING = { 204: { type: 'null', description: 'Done' } };

const ANSWERS: Readonly<Record<string, object>> = {
  'PUT /v1/vms/:name': {
    200: { ...VmJson, headers: { etag: ETAG } },
    201: { ...VmJson, headers: { etag: ETAG, location: LOCATION } },
  },
  'DELETE /v1/vms/:name': NOTHING,
  'GET /v1/vms/:name/console': { 200: answer('What it printed', 'application/octet-stream') },
  'POST /v1/vms/:name/console': NOTHING,
  'POST /v1/vms/:name/prepare': { 200: answer('What the launcher is to execute', 'text/plain') },
  'GET /v1/vms/:name/booted': { 200: answer('The guest is booted', 'text/plain') },
  'GET /v1/events': { 200: answer('Events', 'text/event-stream') },
  'GET /metrics': { 200: answer('Metrics', 'text/plain') },
};

/** Routes that ask a VMM or look for its program, and so may answer with 502 or 504. */
const ASKS_VMM =
  /^\/v1\/vms\/:name\/(start|stop|restart|reboot|kill|pause|resume|refresh|prepare|booted|check|command)$|^\/v1\/reload$/;

const codesOf = (matches: (status: number) => boolean) =>
  Object.entries(ERROR_TABLE)
    .filter(([, { status }]) => matches(status))
    .map(([code]) => code)
    .join(', ');

const problem = (matches: (status: number) => boolean) =>
  answer(codesOf(matches), PROBLEM_TYPE, ProblemSchema);
const UNCHANGED = { 304: { type: 'null', description: 'As If-None-Match has it' } };
const REFUSED = { '4XX': problem(status => status < 500) };
const VMM_FAILED = { 502: problem(status => status === 502), 504: problem(status => status === 504) };

const OPERATION_IDS: Readonly<Record<string, string>> = {
  'GET /v1/vms': 'listVms',
  'GET /v1/vms/:name': 'getVm',
  'PUT /v1/vms/:name': 'putDefinition',
  'DELETE /v1/vms/:name': 'deleteDefinition',
  'GET /v1/vms/:name/definition': 'getDefinition',
  'GET /v1/vms/:name/command': 'getCommand',
  'GET /v1/vms/:name/console': 'readConsole',
  'POST /v1/vms/:name/console': 'writeConsole',
  'GET /v1/vms/:name/booted': 'awaitBooted',
  'POST /v1/convert': 'convertCommand',
  'POST /v1/reload': 'reloadDefinitions',
  'GET /v1/events': 'followEvents',
  'GET /v1/health': 'getHealth',
  'GET /v1/version': 'getVersion',
  'GET /v1/paths': 'getPaths',
  'GET /metrics': 'getMetrics',
  'GET /openapi.json': 'getOpenApi',
};

/** What a generated client calls it. Verbs of VMs have their own names. */
function operationIdOf(route: string): string {
  const id = OPERATION_IDS[route] ?? route.replace(/^POST \/v1\/vms\/:name\/(\w+)$/, '$1Vm');
  if (id.includes(' ')) throw new Error(`build/openapi.ts has no operationId for ${route}`);
  return id;
}

function describeRoute({
  schema = {},
  url,
  route,
}: {
  schema?: FastifySchema;
  url: string;
  route: RouteOptions;
}) {
  const known = schema.response ?? ANSWERS[`${route.method} ${url}`] ?? { 200: AnyJson };
  const { access, entityTag } = route.config ?? {};
  const response = {
    ...known,
    ...(entityTag === undefined ? {} : UNCHANGED),
    ...REFUSED,
    ...(ASKS_VMM.test(url) ? VMM_FAILED : {}),
  };
  const described = access === 'admin' ? { description: 'On admin.sock alone.' } : {};
  const operationId = operationIdOf(`${route.method} ${url}`);
  return { schema: { ...schema, ...described, operationId, response }, url };
}

/** The routes are declared and never called, so there is nothing behind them. */
const NO_TOOLS = { logger: pino({ level: 'silent' }) } as unknown as AppTools;

const DESCRIPTION = `Starts VMs with their secrets.

There is no authentication in HTTP: the UNIX socket that a request comes by decides. \`vmsecretd.sock\` is for the operator group,
\`admin.sock\` for root; what is on admin.sock alone says so.`;

const SERVERS = [
  {
    url: '/',
    description: 'Over /run/vmsecretd/vmsecretd.sock or admin.sock beside it; any name of a host will do',
  },
];

export async function renderOpenApi(): Promise<string> {
  const info = {
    title: 'vmsecretd',
    version: readVersion(),
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  };
  const app = await buildApp(NO_TOOLS, async routes => {
    await routes.register(swagger, {
      transform: describeRoute,
      openapi: { openapi: '3.1.0', info, servers: SERVERS, security: [] },
    });
  });
  const document = nameSchemas(app.swagger());
  await app.close();
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Each schema that has a title stands once, under that name, and is referred to. */
function nameSchemas(document: object): object {
  const schemas: Record<string, unknown> = {};
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    const walked = Object.fromEntries(Object.entries(value).map(([key, member]) => [key, walk(member)]));
    if (typeof walked.title !== 'string' || walked.type !== 'object') return walked;
    const name = walked.title.replaceAll(' ', '');
    schemas[name] = walked;
    return { $ref: `#/components/schemas/${name}` };
  };
  const paths = Object.entries(document).map(([key, value]) => [key, key === 'info' ? value : walk(value)]);
  return { ...Object.fromEntries(paths), components: { schemas } };
}
