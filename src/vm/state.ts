// The states of a VM and what leads from one to the next: a pure table.

export const VM_STATES = ['stopped', 'starting', 'running', 'paused', 'stopping', 'failed'] as const;
export type VmState = (typeof VM_STATES)[number];

/** What happens to a VM. */
export type VmEvent =
  | 'start'
  | 'booted'
  | 'start-failed'
  | 'stop'
  | 'pause'
  | 'resume'
  /** The VMM is gone: by request, or because the guest powered off. */
  | 'ended'
  /** The VMM is gone, and nobody asked for that. */
  | 'broke'
  /** A VMM was found running when the daemon started. */
  | 'adopted';

const TRANSITIONS: Record<VmState, Partial<Record<VmEvent, VmState>>> = {
  stopped: { start: 'starting', adopted: 'running', 'start-failed': 'failed' },
  failed: { start: 'starting', ended: 'stopped', adopted: 'running', 'start-failed': 'failed' },
  starting: {
    booted: 'running',
    // Its unit goes on starting until somebody says that it runs.
    adopted: 'running',
    'start-failed': 'failed',
    stop: 'stopping',
    ended: 'stopped',
    broke: 'failed',
  },
  running: { pause: 'paused', stop: 'stopping', ended: 'stopped', broke: 'failed' },
  paused: { resume: 'running', stop: 'stopping', ended: 'stopped', broke: 'failed' },
  stopping: { ended: 'stopped', broke: 'failed', 'start-failed': 'stopped' },
};

/** @returns the next state, or undefined where the event cannot happen in this one */
export function nextState(state: VmState, event: VmEvent): VmState | undefined {
  return TRANSITIONS[state][event];
}

/** Whether a VMM process belongs to a VM in this state. */
export function isLive(state: string): boolean {
  return state === 'running' || state === 'paused' || state === 'stopping';
}
