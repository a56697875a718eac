// cloud-hypervisor's API socket. What it answers to a request with secrets in it quotes them, so of that
// answer only the status is taken; everything else it says is cut and cleaned, and is for root alone.
import { setTimeout as delay } from 'node:timers/promises';
import { hideCredentials } from '../../credentials/oem-string.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { fieldOf } from '../../json-field.js';
import { connectDirectly } from '../../system/connect-directly.js';
import { requestUnix, type UnixResponse } from '../../system/unix-http.js';
import type { DeviceCounters, VmmApi } from '../hypervisor.js';
import { parseCounters } from './counters.js';
import { findLoss } from './read-back.js';

export type VmmVerb =
  | 'vm.boot'
  | 'vm.shutdown'
  | 'vm.delete'
  | 'vm.reboot'
  | 'vm.pause'
  | 'vm.resume'
  | 'vm.power-button'
  | 'vmm.shutdown';

/** Versions and a few sentences of error. */
const ANSWER_LIMIT_BYTES = 64 * 1024;
/** A VM config with all its OEM strings, twice what any release takes. */
const INFO_LIMIT_BYTES = 8 * 1024 * 1024;

/**
 * Sends a VM config that carries secrets.
 * @param explain the same config without secrets: sent only after a refusal and where it differs, because its answer can be
 * shown
 * @throws VmsecretdError vmm_refused, vmm_timeout
 */
export async function createVm(api: VmmApi, body: Buffer, explain?: Buffer): Promise<void> {
  const { status, body: answer } = await put(api, 'vm.create', { body });
  if (status === 204) return;
  const why = explain?.equals(body) ? readMessages(answer) : await askWhy(api, explain);
  throw refused(api.vm, 'vm.create', status, why);
}

/** A refusal may leave half a VM, for which alone the next vm.create would be refused. */
async function askWhy(api: VmmApi, explain: Buffer | undefined): Promise<string | undefined> {
  if (explain === undefined) return undefined;
  await put(api, 'vm.delete', {});
  const { status, body } = await put(api, 'vm.create', { body: explain });
  return status === 204 ? undefined : readMessages(body);
}

/**
 * Sees that the VMM has what `createVm` sent, before its guest runs. vm.info shows the secrets: it is asked by the deliverer alone,
 * and of its answer only places are told.
 * @throws VmsecretdError vmm_refused, vmm_timeout
 */
export async function requireTaken(api: VmmApi, body: Buffer): Promise<void> {
  const info = await readInfo(api);
  let lost: string | undefined;
  try {
    lost = findLoss(body, info);
  } catch {
    throw refused(api.vm, 'vm.info', 200, 'its answer is no JSON');
  } finally {
    info.fill(0);
  }
  if (lost === undefined) return;
  throw new VmsecretdError(
    'vmm_refused',
    `VM ${api.vm}: cloud-hypervisor took vm.create and dropped or changed ${lost}, so the VM was not started; leave that key out, or install a release that has it`,
    { details: { vm: api.vm, key: lost, request: 'vm.create', answered: true } },
  );
}

/** @throws VmsecretdError vmm_refused, vmm_timeout */
export async function callVmm(api: VmmApi, verb: VmmVerb, signal?: AbortSignal): Promise<void> {
  const { status, body } = await put(api, verb, { signal });
  if (status < 200 || status > 299) throw refused(api.vm, verb, status, readMessages(body));
}

/** Waits until the API answers. @returns the VMM's version, such as "53.0.0" @throws VmsecretdError vmm_timeout */
export async function waitForApi(api: VmmApi, signal: AbortSignal): Promise<string> {
  const { vm, timeoutMs } = api;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      const { body } = await request(api, 'GET', 'vmm.ping', { signal });
      const answer: unknown = JSON.parse(body.toString('utf8'));
      if (answer === null) throw new TypeError('vmm.ping answered null');
      const version = fieldOf(answer, 'version');
      // Digits alone: a VMM that is taken over has secrets, and everybody sees its version.
      const digits =
        typeof version === 'string' ? /^v?(\d{1,4}(?:\.\d{1,4}){0,3})/.exec(version)?.[1] : undefined;
      return digits ?? 'unknown';
    } catch (error) {
      signal.throwIfAborted();
      const waiting = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(systemErrorCode(error) ?? '');
      if (!waiting) throw notAnswered(vm, 'vmm.ping', error);
      if (performance.now() >= deadline) throw notListening(vm, timeoutMs);
      // The socket is up some 4 ms after exec: a shorter wait than any file watch costs.
      await delay(1, undefined, { signal });
    }
  }
}

/**
 * Whether the guest runs. Only a running VM can be paused, so that is tried and taken back: vm.info tells, too, but shows
 * the secrets, and vm.counters answers after a failed boot as well.
 */
export async function isBooted(api: VmmApi): Promise<boolean> {
  try {
    await callVmm(api, 'vm.pause');
  } catch (error) {
    if (error instanceof VmsecretdError) return false;
    throw error;
  }
  await callVmm(api, 'vm.resume');
  return true;
}

/**
 * What the VMM calls the state of its VM. In the deliverer only: the answer has the whole VM config in it, secrets included.
 * @throws VmsecretdError vmm_refused, vmm_timeout
 */
export async function readVmState(api: VmmApi): Promise<string> {
  const info = await readInfo(api);
  try {
    const state = fieldOf(JSON.parse(info.toString('utf8')), 'state');
    if (typeof state === 'string' && VM_STATES.includes(state)) return state;
  } catch {
    // What it quotes stays here.
  } finally {
    info.fill(0);
  }
  throw refused(api.vm, 'vm.info', 200);
}

const VM_STATES = ['Created', 'Running', 'Shutdown', 'Paused', 'BreakPoint'];

/** @throws VmsecretdError vmm_refused, vmm_timeout */
export async function readCounters(api: VmmApi): Promise<DeviceCounters> {
  const { status, body } = await request(api, 'GET', 'vm.counters', {}).catch(error => {
    throw notAnswered(api.vm, 'vm.counters', error);
  });
  if (status !== 200) throw refused(api.vm, 'vm.counters', status);
  try {
    return parseCounters(body.toString('utf8'));
  } catch {
    throw refused(api.vm, 'vm.counters', status);
  }
}

/** The caller wipes it. */
async function readInfo(api: VmmApi): Promise<Buffer> {
  const { status, body } = await request(api, 'GET', 'vm.info', { limitBytes: INFO_LIMIT_BYTES }).catch(
    error => {
      throw notAnswered(api.vm, 'vm.info', error);
    },
  );
  if (status === 200) return body;
  throw refused(api.vm, 'vm.info', status);
}

interface Sent {
  limitBytes?: number;
  body?: Buffer;
  signal?: AbortSignal | undefined;
}

async function put(api: VmmApi, verb: string, sent: Sent): Promise<UnixResponse> {
  try {
    return await request(api, 'PUT', verb, sent);
  } catch (error) {
    sent.signal?.throwIfAborted();
    throw notAnswered(api.vm, verb, error);
  }
}

function request(
  { socketPath, timeoutMs, connect = connectDirectly }: VmmApi,
  method: 'GET' | 'PUT',
  verb: string,
  { body, signal, limitBytes = ANSWER_LIMIT_BYTES }: Sent,
): Promise<UnixResponse> {
  return requestUnix({
    socketPath,
    method,
    path: `/api/v1/${verb}`,
    body,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    timeoutMs,
    signal,
    connect,
    limitBytes,
  });
}

function notListening(vm: string, timeoutMs: number): VmsecretdError {
  return new VmsecretdError(
    'vmm_timeout',
    `VM ${vm}: cloud-hypervisor did not listen within ${timeoutMs} ms`,
    {
      details: { vm },
    },
  );
}

function notAnswered(vm: string, verb: string, cause: unknown): VmsecretdError {
  const code = systemErrorCode(cause) ?? 'not HTTP';
  // EAGAIN: more connections wait already than the VMM has accepted.
  const late = code === 'ETIMEDOUT' || code === 'EAGAIN';
  return new VmsecretdError(
    late ? 'vmm_timeout' : 'vmm_refused',
    `VM ${vm}: cloud-hypervisor did not answer ${verb} (${code})`,
    { details: { vm, request: verb } },
  );
}

/** @param words of the VMM, which has secrets or had them before: for root alone */
function refused(vm: string, verb: string, status: number, words?: string): VmsecretdError {
  return new VmsecretdError(
    'vmm_refused',
    `VM ${vm}: cloud-hypervisor refused ${verb} with status ${status}`,
    {
      details: { vm, request: verb, status, answered: true },
      words,
    },
  );
}

/**
 * cloud-hypervisor answers an error with a JSON array of messages, outermost first. Those to a request without secrets may
 * still quote what an earlier one brought.
 */
function readMessages(body: Buffer): string {
  let messages: unknown;
  try {
    messages = JSON.parse(body.toString('utf8'));
  } catch {
    return 'no reason given';
  }
  const texts = (Array.isArray(messages) ? messages : []).filter(message => typeof message === 'string');
  const joined = hideCredentials(texts.join(': ')).replaceAll(/[^\x20-\x7e]+/g, ' ');
  return joined === '' ? 'no reason given' : joined.slice(0, 600);
}
