// The daemon's own process for Prometheus. Not prom-client's default set: that measures the lag of the event loop with a
// timer every 10 ms, and an idle daemon must sleep.
import { readdirSync } from 'node:fs';
import { Counter, Gauge, type Registry } from 'prom-client';

/** Read when they are asked for, by the names of prom-client's own. */
export function addProcessMetrics(registry: Registry): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  gauge('process_open_fds', 'Open file descriptors', () => readdirSync('/proc/self/fd').length);
  gauge('process_start_time_seconds', 'When it started, since 1970', () => performance.timeOrigin / 1000);
  gauge('nodejs_heap_size_used_bytes', "JavaScript's heap in use", () => process.memoryUsage().heapUsed);
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time, of the user and of the kernel',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
}
