// For the launcher of a unit, on a socket that everybody may use.
import type { FastifyInstance } from 'fastify';
import type { Vms } from '../../vm/vms.js';
import { LaunchBody, NameParams } from '../schemas.js';
import type { NameRoute } from './name-route.js';

interface LaunchRoute extends NameRoute {
  Body: { pid: number };
}

/** So many may ask for one process at once, though it asks once: more would keep other VMs' launchers off the socket. */
const MAXIMUM_ASKERS = 32;

export function addLaunchRoute(app: FastifyInstance, { vms }: { vms: Vms }): void {
  const askers = new Map<string, number>();
  app.post<LaunchRoute>(
    '/v1/vms/:name/launch',
    {
      config: { access: 'launch' },
      schema: { summary: 'What the launcher of a unit is to execute', params: NameParams, body: LaunchBody },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { pid } = request.body;
      const { lifecycle } = vms.get(name);
      const process = `${name} ${pid}`;
      const others = askers.get(process) ?? 0;
      if (others >= MAXIMUM_ASKERS) {
        // The launcher may be among them: who is cut off asks again, and hears the one answer.
        reply.hijack();
        request.raw.socket.destroy();
        return;
      }
      askers.set(process, others + 1);
      try {
        return await reply.type('text/plain').send(await lifecycle.launch(pid));
      } finally {
        const left = (askers.get(process) ?? 1) - 1;
        if (left === 0) askers.delete(process);
        else askers.set(process, left);
      }
    },
  );
}
