// What happens to VMs, as server-sent events.
import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { VmEvents } from '../../vm/events.js';
import type { Vms } from '../../vm/vms.js';
import { EventsQuery } from '../schemas.js';

const HEARTBEAT_MS = 15_000;
/** A reader that is this far behind is dropped rather than buffered without end. */
const BACKLOG_BYTES = 256 * 1024;

export function addEventRoutes(app: FastifyInstance, { events, vms }: { events: VmEvents; vms: Vms }): void {
  app.get<{ Querystring: { vm?: string } }>(
    '/v1/events',
    { config: { crowd: 'follower' }, schema: { summary: 'Server-sent events', querystring: EventsQuery } },
    async (request, reply) => {
      if (request.query.vm !== undefined) vms.get(request.query.vm);
      const stream = new PassThrough({ highWaterMark: BACKLOG_BYTES });
      const send = (text: string) => {
        if (!stream.write(text)) stream.destroy();
      };
      const unsubscribe = events.subscribe(({ type, ...data }) => {
        if (request.query.vm !== undefined && data.vm !== request.query.vm) return;
        send(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
      });
      const heartbeat = setInterval(() => send(': heartbeat\n\n'), HEARTBEAT_MS);
      stream.once('close', () => {
        unsubscribe();
        clearInterval(heartbeat);
      });
      send(': vmsecretd\n\n');
      return reply.type('text/event-stream').header('cache-control', 'no-store').send(stream);
    },
  );
}
