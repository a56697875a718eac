// vm.counters: what a VMM says of its devices. It has secrets, and metrics are for everybody on the host, so of its answer
// numbers are taken, and of names those that it makes itself.
import { DEVICE_COUNTERS, type DeviceCounters } from '../hypervisor.js';

/** As cloud-hypervisor names a device whose --disk or --net has no `id`. */
const OWN_NAME = /^_((?:disk|net)\d{1,4})$/;

/** Devices that a command line names are `other`, together. @throws SyntaxError: it is no JSON */
export function parseCounters(text: string): DeviceCounters {
  const told: Record<string, Partial<Record<string, number>>> = {};
  for (const [id, counters] of Object.entries(asObject(JSON.parse(text)))) {
    const device = OWN_NAME.exec(id)?.[1] ?? 'other';
    for (const name of DEVICE_COUNTERS) {
      const value = asObject(counters)[name];
      if (typeof value !== 'number' || !(value >= 0)) continue;
      told[device] ??= {};
      told[device][name] = (told[device][name] ?? 0) + value;
    }
  }
  return told;
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
