// What VMs there are, and their definitions.
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Definition } from '../../definition/definition.js';
import type { Definitions } from '../../definition/definitions.js';
import { DefinitionSchema } from '../../definition/schema.js';
import type { Vms } from '../../vm/vms.js';
import { requireConditions, tagOf } from '../entity-tags.js';
import { ComparedQuery, NameParams, ReloadSchema, VmListSchema, VmSchema } from '../schemas.js';
import type { NameRoute } from './name-route.js';

export interface DefinitionTools {
  vms: Vms;
  definitions: Definitions;
  reload(): Promise<void>;
  /** Settles once the VMs that run now were compared with what they were made of. */
  compareNow(): Promise<void>;
}

/** How long a list waits for comparisons; an age file on a mount that hangs keeps nobody from his list. */
const COMPARISON_TIMEOUT_MS = 30_000;

export function addDefinitionRoutes(app: FastifyInstance, tools: DefinitionTools): void {
  const { vms, definitions, reload } = tools;
  app.get<{ Querystring: { compared?: boolean } }>(
    '/v1/vms',
    {
      config: { entityTag: 'weak' },
      schema: { summary: 'List VMs', querystring: ComparedQuery, response: { 200: VmListSchema } },
    },
    async request => {
      if (request.query.compared === true)
        await Promise.race([tools.compareNow(), delay(COMPARISON_TIMEOUT_MS, undefined, { ref: false })]);
      const views = vms.list().map(vm => vm.view(request.isRoot));
      return { vms: views, problems: [...definitions.problems] };
    },
  );

  app.get<NameRoute>(
    '/v1/vms/:name',
    {
      config: { entityTag: 'weak' },
      schema: { summary: 'Show a VM', params: NameParams, response: { 200: VmSchema } },
    },
    async request => vms.get(request.params.name).vm.view(request.isRoot),
  );

  app.post(
    '/v1/reload',
    { schema: { summary: 'Read the definitions again', response: { 200: ReloadSchema } } },
    async () => {
      await reload();
      return { definitions: definitions.list().length, problems: [...definitions.problems] };
    },
  );
  addKeepingRoutes(app, tools);
}

/** For root alone: a definition names files and programs. */
function addKeepingRoutes(app: FastifyInstance, { vms, definitions }: DefinitionTools): void {
  const requireSeen = async ({ headers }: FastifyRequest, existing: Definition | undefined) => {
    if (headers['if-match'] === undefined && headers['if-none-match'] === undefined) return;
    const current = existing === undefined ? undefined : await definitions.readJson(existing);
    requireConditions(headers, current === undefined ? undefined : tagOf(JSON.stringify(current)));
  };
  // Name and body are checked by parse-definition.ts, which says more than a schema can.
  app.put<NameRoute>(
    '/v1/vms/:name',
    {
      config: { access: 'admin' },
      schema: { summary: 'Keep a definition', params: NameParams, body: DefinitionSchema },
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const { name } = request.params;
      const { vm, created } = await vms.put(name, request.body, existing => requireSeen(request, existing));
      if (created) reply.header('location', `/v1/vms/${name}`);
      return reply
        .code(created ? 201 : 200)
        .header('etag', tagOf(JSON.stringify(request.body)))
        .send(vm.view(request.isRoot));
    },
  );

  app.delete<NameRoute>(
    '/v1/vms/:name',
    { config: { access: 'admin' }, schema: { summary: 'Drop a kept definition', params: NameParams } },
    async (request, reply) => {
      await vms.delete(request.params.name, existing => requireSeen(request, existing));
      return reply.code(204).send();
    },
  );

  app.get<NameRoute>(
    '/v1/vms/:name/definition',
    {
      config: { access: 'admin', entityTag: 'strong' },
      schema: { summary: 'Read a definition back', params: NameParams },
    },
    async request => definitions.readJson(vms.get(request.params.name).vm.definition),
  );
}
