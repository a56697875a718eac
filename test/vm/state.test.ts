import { test } from 'tap';
import { isLive, nextState, VM_STATES, type VmEvent } from '../../src/vm/state.js';

const EVENTS: readonly VmEvent[] = [
  ...(['start', 'booted', 'start-failed', 'stop', 'pause', 'resume', 'ended', 'broke', 'adopted'] as const),
];

test('leads from a start to running, and through pause and stop back', async t => {
  const path: [VmEvent, string][] = [
    ...([
      ['start', 'starting'],
      ['booted', 'running'],
      ['pause', 'paused'],
      ['resume', 'running'],
    ] as const),
    ...([
      ['stop', 'stopping'],
      ['ended', 'stopped'],
    ] as const),
  ].map(([event, state]) => [event, state]);
  let state: (typeof VM_STATES)[number] | undefined = 'stopped';
  for (const [event, expected] of path) {
    state = nextState(state ?? 'stopped', event);
    t.equal(state, expected, event);
  }
});

test('knows no pause of a paused VM, no start of a live one and no boot without a start', async t => {
  for (const state of VM_STATES) {
    if (state !== 'running') t.equal(nextState(state, 'pause'), undefined, `pause ${state}`);
    if (state !== 'paused') t.equal(nextState(state, 'resume'), undefined, `resume ${state}`);
    if (state !== 'starting') t.equal(nextState(state, 'booted'), undefined, `booted ${state}`);
    if (isLive(state)) t.equal(nextState(state, 'start'), undefined, `start ${state}`);
  }
});

test('leaves every state with a VMM when the VMM is gone', async t => {
  for (const state of VM_STATES.filter(candidate => isLive(candidate) || candidate === 'starting')) {
    t.equal(nextState(state, 'ended'), 'stopped', state);
    t.equal(nextState(state, 'broke'), 'failed', state);
  }
});

test('leads to nothing but states', async t => {
  for (const state of VM_STATES) {
    for (const event of EVENTS) {
      const next = nextState(state, event);
      t.ok(next === undefined || VM_STATES.includes(next), `${state} ${event}`);
    }
  }
});
