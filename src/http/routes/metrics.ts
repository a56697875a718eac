// Metrics for Prometheus.
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../../metrics.js';

export interface MetricsRouteTools {
  metrics: Pick<Metrics, 'render' | 'contentType'>;
}

export function addMetricsRoute(app: FastifyInstance, { metrics }: MetricsRouteTools): void {
  app.get(
    '/metrics',
    { schema: { summary: 'Metrics in Prometheus’ text format' } },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()),
  );
}
