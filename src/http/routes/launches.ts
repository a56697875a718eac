// For the launcher of a unit, a shell script: it sends a query and gets text.
import type { FastifyInstance } from 'fastify';
import { VmsecretdError } from '../../errors.js';
import type { Machines } from '../../supervisor/unit/machines.js';
import type { Launches } from '../../vm/lifecycle.js';
import type { Vms } from '../../vm/vms.js';
import { NameParams, PrepareQuery } from '../schemas.js';
import type { NameRoute } from './name-route.js';

interface PrepareRoute extends NameRoute {
  Querystring: { invocation: string; directory: string };
}

export interface LaunchRouteTools {
  vms: Vms;
  machines: Pick<Machines, 'describe'>;
}

export function addLaunchRoutes(app: FastifyInstance, { vms, machines }: LaunchRouteTools): void {
  app.post<PrepareRoute>(
    '/v1/vms/:name/prepare',
    {
      config: { access: 'admin' },
      schema: {
        summary: 'Open the secrets of a VM whose unit is starting; the answer is for its launcher',
        params: NameParams,
        querystring: PrepareQuery,
      },
    },
    async ({ params: { name }, query: { invocation, directory } }, reply) => {
      const text = await launchesOf(vms, name).prepare({
        invocationId: invocation,
        workingDirectory: directory,
      });
      return reply.type('text/plain').send(text);
    },
  );
  app.get<NameRoute>(
    '/v1/vms/:name/booted',
    {
      config: { access: 'admin' },
      schema: {
        summary: 'Wait until the guest of a VM whose unit is starting is booted; for its launcher',
        params: NameParams,
      },
    },
    async ({ params: { name } }, reply) => {
      await launchesOf(vms, name).untilBooted();
      return reply.type('text/plain').send(`booted\n${await machines.describe(vms.get(name).vm)}`);
    },
  );
}

function launchesOf(vms: Vms, name: string): Launches {
  const { launches } = vms.get(name).lifecycle;
  if (launches !== undefined) return launches;
  throw new VmsecretdError(
    'forbidden',
    `VM ${name} is supervised by the daemon; set "supervisor": "unit" in its definition to start it by a unit`,
    { details: { vm: name } },
  );
}
