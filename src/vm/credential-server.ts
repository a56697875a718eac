// Answers what a guest asks for on its credentials channel: a deliverer does, with the values of its VM alone.
import type { Definition } from '../definition/definition.js';
import type { Deliverers } from '../delivery/deliverers.js';
import type { PreparedCredential, ServeResult } from '../delivery/protocol.js';
import type { ServeCredential, Vm } from './vm.js';

export interface CredentialServerTools {
  deliverers: Pick<Deliverers, 'serve'>;
  /** Where the definition has none. */
  identities: readonly string[];
  passphraseFiles: readonly string[];
}

/** Without a request, or progress of its answer. */
const IDLE_TIMEOUT_MS = 30_000;
/** A deliverer that has neither ended a slow answer nor failed is given up. */
const DELIVERER_TIMEOUT_MS = 180_000;

export function createCredentialServer(tools: CredentialServerTools): ServeCredential {
  return async (vm, socket, head, delivered) => {
    const { definition } = vm;
    const serving = {
      vm: vm.name,
      credentials: askable(definition.credentials, delivered),
      identities: [...(definition.identities ?? tools.identities)],
      passphraseFiles: [...tools.passphraseFiles],
      head: head.toString('latin1'),
      timeoutMs: IDLE_TIMEOUT_MS,
    };
    const deadline = new AbortController();
    const late = () => deadline.abort(new Error('the deliverer did not answer'));
    const timer = setTimeout(late, DELIVERER_TIMEOUT_MS);
    try {
      const server = vm.refreshing ?? tools.deliverers;
      publish(vm, await server.serve(socket, serving, deadline.signal));
    } finally {
      clearTimeout(timer);
    }
  };
}

/** What its guest was given at boot, and what it is to ask for. */
function askable(
  credentials: Definition['credentials'],
  delivered: readonly PreparedCredential[],
): Definition['credentials'] {
  const names = new Set(delivered.map(({ name }) => name));
  return Object.fromEntries(
    Object.entries(credentials).filter(([name, { onDemand }]) => onDemand === true || names.has(name)),
  );
}

function publish(vm: Vm, { outcome, unit, name, sizeBytes, failure }: ServeResult): void {
  const problem = failure === undefined ? {} : { problem: { code: failure.code, detail: failure.message } };
  vm.publish('on-demand', { outcome, credential: name, unit, sizeBytes, ...problem });
}
