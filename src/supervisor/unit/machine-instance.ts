// io.systemd.MachineInstance of one VM: what machinectl of systemd 261 and later asks of a machine.
import { VmsecretdError } from '../../errors.js';
import { VarlinkError, type VarlinkService } from '../../system/varlink.js';
import type { VmEvents } from '../../vm/events.js';
import type { Lifecycle } from '../../vm/lifecycle.js';
import type { Vm } from '../../vm/vm.js';

const INTERFACE = 'io.systemd.MachineInstance';

const DESCRIPTION = `interface ${INTERFACE}

# Ends the hypervisor at once
method Terminate() -> ()

# Stops the unit: its guest's power button first. Answers when the stop has begun
method PowerOff() -> ()

# Restarts the unit, so that the guest starts with its present secrets. Answers when the restart has begun
method Reboot() -> ()

method Pause() -> ()

method Resume() -> ()

# The name of this method in systemd 261
method QueryStatus() -> (running: bool, status: string)

method Describe() -> (running: bool, status: string)

# What happens to the VM, as GET /v1/events tells it
method SubscribeEvents(filter: ?[]string) -> (event: string, data: ?object)

error NotConnected ()

error NotSupported ()
`;

export interface MachineInstanceTools {
  vm: Vm;
  lifecycle: Pick<Lifecycle, 'stop' | 'restart' | 'kill' | 'pause' | 'resume'>;
  events: VmEvents;
  version: string;
  logger: { warn(fields: object, message: string): void };
}

export function machineInstance({
  vm,
  lifecycle,
  events,
  version,
  logger,
}: MachineInstanceTools): VarlinkService {
  /** What takes as long as a guest does is begun: machinectl waits for less. */
  const begin = (verb: 'stop' | 'restart') => async () => {
    lifecycle[verb]().catch(error => logger.warn({ vm: vm.name, err: error }, `machinectl: ${verb} failed`));
    return {};
  };
  const done = (verb: 'kill' | 'pause' | 'resume') => async () => {
    await lifecycle[verb]().catch(explain);
    return {};
  };
  const describe = async () => ({ running: vm.state === 'running', status: vm.state });
  return {
    interface: INTERFACE,
    description: DESCRIPTION,
    vendor: 'vmsecretd',
    product: 'vmsecretd',
    version,
    methods: {
      Terminate: done('kill'),
      PowerOff: begin('stop'),
      Reboot: begin('restart'),
      Pause: done('pause'),
      Resume: done('resume'),
      QueryStatus: describe,
      Describe: describe,
      SubscribeEvents: async ({ filter }, more) => {
        if (more === undefined) throw new VarlinkError('org.varlink.service.ExpectedMore');
        if (filter != null && !Array.isArray(filter))
          throw new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'filter' });
        const unsubscribe = events.subscribe(({ type, vm: name, ...data }) => {
          if (name === vm.name && (filter == null || filter.includes(type))) more.send({ event: type, data });
        });
        more.closed.addEventListener('abort', unsubscribe);
        // As systemd's own server: who has read it misses nothing.
        more.send({ event: 'READY' });
        return undefined;
      },
    },
  };
}

/** In the errors that machinectl has words for. @throws VarlinkError always */
function explain(error: unknown): never {
  const code = error instanceof VmsecretdError ? error.code : 'internal';
  if (code === 'vmm_refused' || code === 'vmm_timeout') throw new VarlinkError(`${INTERFACE}.NotConnected`);
  const [errno, errnoName] = code === 'state_conflict' ? [16, 'EBUSY'] : [5, 'EIO'];
  throw new VarlinkError('io.systemd.System', { origin: 'linux', errno, errnoName });
}
