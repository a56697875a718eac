// The HTTP application: routes, access and errors. Built apart from sockets and processes.
import type { IncomingMessage } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { VmsecretdError } from '../errors.js';
import { compileSchema } from '../schema-check.js';
import { explainStorageError } from '../system/storage-error.js';
import type { VmEvents } from '../vm/events.js';
import { type Access, mayCall, type SocketRole } from './access.js';
import { checkBodies } from './bodies.js';
import { boundCrowds } from './crowds.js';
import { tagAnswers } from './entity-tags.js';
import { answerMethods } from './methods.js';
import { buildProblem, internalError, PROBLEM_TYPE } from './problem.js';
import { addCommandRoutes, type CommandTools } from './routes/commands.js';
import { addConsoleRoutes, type ConsoleTools } from './routes/console.js';
import { addDefinitionRoutes, type DefinitionTools } from './routes/definitions.js';
import { addEventRoutes } from './routes/events.js';
import { addLaunchRoutes, type LaunchRouteTools } from './routes/launches.js';
import { addLifecycleRoutes, type LifecycleTools } from './routes/lifecycle.js';
import { addMetricsRoute, type MetricsRouteTools } from './routes/metrics.js';
import { addServiceRoutes, type ServiceTools } from './routes/service.js';
import { NoQuery } from './schemas.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** It came by admin.sock. */
    isRoot: boolean;
  }
  interface FastifyContextConfig {
    /** Sockets that may call the route; `operator` unless set. */
    access?: Access;
  }
}

export interface AppTools
  extends DefinitionTools,
    CommandTools,
    ConsoleTools,
    LaunchRouteTools,
    LifecycleTools,
    MetricsRouteTools,
    ServiceTools {
  events: VmEvents;
  logger: FastifyBaseLogger;
  version: string;
  /** Which socket a request came in by. */
  roleOf(request: IncomingMessage): SocketRole;
}

/** A definition with 255 credentials and its command line is far below this. */
const BODY_LIMIT_BYTES = 1024 * 1024;
/** As much as Node takes: a name that is too long is told as one. */
const MAXIMUM_URL_LENGTH = 16 * 1024;

/** @param before sees every route: openapi.json is made so */
export async function buildApp(
  tools: AppTools,
  before?: (app: FastifyInstance) => Promise<void>,
): Promise<FastifyInstance> {
  const app = Fastify({
    loggerInstance: tools.logger,
    // Requests are told by what they change (events.ts); bodies and URLs stay out of the log.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: MAXIMUM_URL_LENGTH, ignoreTrailingSlash: true },
    // As a proxy sends it: RFC 9112, 3.2.2.
    rewriteUrl: ({ url = '' }) => url.replace(/^https?:\/\/[^/?#]*\/?/i, '/'),
    frameworkErrors: (_error, request, reply) =>
      sendProblem(
        new VmsecretdError(
          'request_invalid',
          'The URL is not valid: a percent sign and two hexadecimal digits stand for a byte of UTF-8',
        ),
        request,
        reply,
      ),
    genReqId: () => crypto.randomUUID(),
    schemaController: { compilersFactory: { buildValidator: NO_COMPILER, buildSerializer: NO_COMPILER } },
  });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    compileSchema(schema as object, httpPart === 'body' ? 'body' : 'text'),
  );
  app.setSerializerCompiler(() => JSON.stringify);
  app.setErrorHandler<FastifyError>((error, request, reply) =>
    sendProblem(toProblem(error, request), request, reply),
  );
  checkAccess(app, tools.roleOf);
  answerMethods(app, (error, request, reply) => sendProblem(error, request, reply, 404));
  checkBodies(app);
  tagAnswers(app);
  dropAbandoned(app);
  boundCrowds(app, tools.roleOf);
  await before?.(app);
  app.addHook('onRoute', route => {
    route.schema = { querystring: NoQuery, ...route.schema };
  });
  addDefinitionRoutes(app, tools);
  addLifecycleRoutes(app, tools);
  addLaunchRoutes(app, tools);
  addCommandRoutes(app, tools);
  addConsoleRoutes(app, tools);
  addEventRoutes(app, tools);
  addMetricsRoute(app, tools);
  addServiceRoutes(app, tools);
  await app.ready();
  return app;
}

/** In place of what fastify would load to make functions of schemas, which takes longer than all else of a start. */
const NO_COMPILER = (): never => {
  throw new Error('fastify compiles no schemas here');
};

function checkAccess(app: FastifyInstance, roleOf: AppTools['roleOf']): void {
  app.decorateRequest('isRoot', false);
  app.addHook('onRequest', async request => {
    request.isRoot = roleOf(request.raw) === 'admin';
    const access = request.routeOptions.config.access ?? 'operator';
    if (mayCall(roleOf(request.raw), access)) return;
    throw new VmsecretdError(
      'forbidden',
      `${request.method} ${request.routeOptions.url ?? request.url} is for root, on admin.sock`,
    );
  });
}

/**
 * Whoever is gone by the time that a request is read wants nothing of it any more: systemd takes connections for a daemon that
 * does not run, and their calls may be hours old when it does.
 */
function dropAbandoned(app: FastifyInstance): void {
  app.addHook('preHandler', async (request, reply) => {
    if (request.method === 'GET' || request.method === 'HEAD') return;
    // The end of a connection is read after what was sent on it.
    for (let turn = 0; turn < END_IS_READ_TURNS; turn += 1) await nextTurn();
    const { socket } = request.raw;
    if (!socket.destroyed && !socket.readableEnded) return;
    request.log.info({ method: request.method }, 'a request was dropped: its client is gone');
    reply.hijack();
    socket.destroy();
  });
}

/** Of the event loop: one for the request's last bytes, one for the end. */
const END_IS_READ_TURNS = 3;

function toProblem(thrown: FastifyError, request: FastifyRequest): VmsecretdError {
  const error = explainStorageError(thrown) as FastifyError | VmsecretdError;
  if (error instanceof VmsecretdError) return error;
  if (error.validationContext === 'params') return noSuchName(request);
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return new VmsecretdError(
      'request_invalid',
      `${request.method} ${request.routeOptions.url ?? ''}: ${explain(error)}`,
    );
  }
  request.log.error({ code: error.code, stack: error.stack }, 'request failed');
  return internalError(request.id);
}

/** No VM can have such a name, whatever was meant by it. */
function noSuchName(request: FastifyRequest): VmsecretdError {
  const { name = '' } = request.params as { name?: string };
  const shown = name.slice(0, 80).replaceAll(/[^\x20-\x7e]+/g, ' ');
  return new VmsecretdError(
    'vm_unknown',
    `There is no VM ${shown}: a name has 1 to 64 letters, digits, "_", "." and "-", and begins with a letter or digit; no pattern stands for VMs`,
  );
}

/** Where Fastify's own words do not say what was refused. */
function explain(error: FastifyError): string {
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return 'the body needs the header "content-type: application/json" (of a console, application/octet-stream)';
  const unknown = error.validation?.find(({ keyword }) => keyword === 'additionalProperties');
  const choices = error.validation?.flatMap(({ params }) => params.allowedValues ?? []) ?? [];
  if (unknown === undefined && choices.length > 0)
    return `${error.validationContext} ${error.validation?.[0]?.instancePath.slice(1)} takes ${choices.join(', ')}`;
  if (unknown === undefined) return error.message;
  const key = String(unknown.params.additionalProperty).slice(0, 60);
  return `${error.validationContext ?? 'the request'} has the unknown key "${key}"`;
}

function sendProblem(
  error: VmsecretdError,
  request: FastifyRequest,
  reply: FastifyReply,
  status?: number,
): void {
  const problem = { ...buildProblem(error, request.isRoot), ...(status === undefined ? {} : { status }) };
  reply.code(problem.status);
  // The launcher is a shell script: it prints what it gets into its unit's journal, which others than root read.
  if (request.headers.accept === 'text/plain') reply.type('text/plain').send(error.message);
  else reply.type(PROBLEM_TYPE).send(problem);
}
