// The serial console: read by operators, typed into by root.
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { VmsecretdError } from '../../errors.js';
import type { Vm } from '../../vm/vm.js';
import type { Vms } from '../../vm/vms.js';
import { BYTES } from '../bodies.js';
import { admit } from '../oldest-gives-way.js';
import { FollowQuery, NameParams } from '../schemas.js';
import type { NameRoute } from './name-route.js';

/** Of one VM at once; the oldest gives way. Each keeps what its reader has not taken, or is a journalctl. */
const MAXIMUM_FOLLOWERS = 64;

interface ConsoleRoute extends NameRoute {
  Querystring: { follow?: boolean };
}

export interface ConsoleTools {
  vms: Vms;
  /** What the console printed, and with `follow` what it prints from now on. */
  readConsole(vm: Vm, follow: boolean): Readable | Buffer;
}

export function addConsoleRoutes(app: FastifyInstance, { vms, readConsole }: ConsoleTools): void {
  const followers = new WeakMap<Vm, Set<Readable>>();
  const follow = (vm: Vm, newest: Readable) => {
    const ofVm = followers.get(vm) ?? new Set();
    followers.set(vm, ofVm);
    admit(ofVm, newest, MAXIMUM_FOLLOWERS);
  };

  app.get<ConsoleRoute>(
    '/v1/vms/:name/console',
    {
      config: { crowd: 'follower' },
      schema: { summary: 'The serial console as raw bytes', params: NameParams, querystring: FollowQuery },
    },
    async (request, reply) => {
      const { vm } = vms.get(request.params.name);
      const output = readConsole(vm, request.query.follow === true);
      if (output instanceof Readable) follow(vm, output);
      return reply.type(BYTES).send(output);
    },
  );

  app.post<ConsoleRoute>(
    '/v1/vms/:name/console',
    {
      config: { access: 'admin', takesBytes: true },
      schema: { summary: 'Type into the serial console', params: NameParams },
    },
    async (request, reply) => {
      const { vm } = vms.get(request.params.name);
      if (!Buffer.isBuffer(request.body)) {
        throw new VmsecretdError('request_invalid', `The console takes raw bytes, as ${BYTES}`);
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
