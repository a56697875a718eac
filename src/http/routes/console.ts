// The serial console: read by operators, typed into by root.
import type { FastifyInstance } from 'fastify';
import { VmsecretdError } from '../../errors.js';
import type { Vms } from '../../vm/vms.js';
import { FollowQuery, NameParams } from '../schemas.js';
import type { NameRoute } from './name-route.js';

const RAW = 'application/octet-stream';

interface ConsoleRoute extends NameRoute {
  Querystring: { follow?: boolean };
}

export function addConsoleRoutes(app: FastifyInstance, { vms }: { vms: Vms }): void {
  app.get<ConsoleRoute>(
    '/v1/vms/:name/console',
    { schema: { summary: 'The serial console as raw bytes', params: NameParams, querystring: FollowQuery } },
    async (request, reply) => {
      const { console } = vms.get(request.params.name).vm;
      return reply.type(RAW).send(request.query.follow === true ? console.follow() : console.recent());
    },
  );

  app.addContentTypeParser(RAW, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  app.post<ConsoleRoute>(
    '/v1/vms/:name/console',
    { config: { access: 'admin' }, schema: { summary: 'Type into the serial console', params: NameParams } },
    async (request, reply) => {
      const { vm } = vms.get(request.params.name);
      if (!Buffer.isBuffer(request.body)) {
        throw new VmsecretdError('request_invalid', `The console takes raw bytes, as ${RAW}`);
      }
      if (!(await vm.console.write(request.body))) {
        throw new VmsecretdError('state_conflict', `VM ${vm.name} has no console that takes input`, {
          details: { vm: vm.name, state: vm.state },
        });
      }
      return reply.code(204).send();
    },
  );
}
