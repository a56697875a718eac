// Who comes in numbers is bounded, each kind by itself and on each socket by itself: followers of events and consoles keep no start
// from the daemon, starts no check, operators not root, and all of them together no short question.
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { VmsecretdError } from '../errors.js';
import type { SocketRole } from './access.js';
import { admit } from './oldest-gives-way.js';

/** `follower`: until it goes, and the oldest gives way. `check`, `work`: until it is answered, and more are refused. */
export type Crowd = 'follower' | 'check' | 'work';

/** Together well below MAXIMUM_CONNECTIONS of a socket. */
export const CROWD_LIMITS: Readonly<Record<Crowd, number>> = { follower: 256, check: 64, work: 512 };

const REFUSALS: Readonly<Record<Exclude<Crowd, 'follower'>, string>> = {
  check: `${CROWD_LIMITS.check} checks wait already`,
  work: `${CROWD_LIMITS.work} calls that start, stop or change VMs wait already`,
};

declare module 'fastify' {
  interface FastifyContextConfig {
    crowd?: Crowd;
  }
}

/** @param roleOf which socket a request came in by */
export function boundCrowds(app: FastifyInstance, roleOf: (request: IncomingMessage) => SocketRole): void {
  const members = new Map<string, Set<Readable>>();
  app.addHook('preHandler', async (request, reply) => {
    const { crowd } = request.routeOptions.config;
    if (crowd === undefined) return;
    const key = `${crowd} ${roleOf(request.raw)}`;
    const all = members.get(key) ?? new Set();
    members.set(key, all);
    const { socket } = request.raw;
    if (crowd === 'follower') {
      admit(all, socket, CROWD_LIMITS[crowd]);
      return;
    }
    if (all.size >= CROWD_LIMITS[crowd])
      throw new VmsecretdError('busy', `${REFUSALS[crowd]}; try again when some of them are done`);
    all.add(socket);
    reply.raw.once('close', () => all.delete(socket));
  });
}
