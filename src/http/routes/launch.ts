// For the launcher of a unit, on a socket that everybody may use.
import type { FastifyInstance } from 'fastify';
import type { Vms } from '../../vm/vms.js';
import { LaunchBody, NameParams } from '../schemas.js';
import type { NameRoute } from './name-route.js';

interface LaunchRoute extends NameRoute {
  Body: { pid: number };
}

export function addLaunchRoute(app: FastifyInstance, { vms }: { vms: Vms }): void {
  app.post<LaunchRoute>(
    '/v1/vms/:name/launch',
    {
      config: { access: 'launch' },
      schema: { summary: 'What the launcher of a unit is to execute', params: NameParams, body: LaunchBody },
    },
    async (request, reply) =>
      reply.type('text/plain').send(await vms.get(request.params.name).lifecycle.launch(request.body.pid)),
  );
}
