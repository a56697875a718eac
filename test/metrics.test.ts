import t from 'tap';
import { VmsecretdError } from '../src/errors.js';
import { Metrics } from '../src/metrics.js';
import { socketFolder } from './setup/socket-folder.js';
import { defineVm, makeEvents, makeVm } from './vm/vm-for-test.js';

t.test('tells states, starts, failures by code, phases, restarts, outdated and the process', async t => {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vms = ['a', 'b', 'c'].map(name => makeVm(folder, defineVm(name, { ready: 'notify' }), events));
  const [a, b] = vms;
  let now = 0;
  const metrics = new Metrics({ events, listVms: () => vms, now: () => now, version: '1.2.3' });
  t.teardown(() => metrics.close());
  a?.transition('start');
  a?.transition('booted');
  now = 2_000;
  a?.becomeReady();
  a?.resetGuest();
  now = 9_000;
  a?.becomeReady();
  a?.becomeOutdated(['definition']);
  b?.transition('start');
  b?.fail(new VmsecretdError('secret_missing', 'gone'), 'start-failed');
  a?.transition('pause');
  a?.fail(new VmsecretdError('vmm_refused', 'ended'), 'broke');
  b?.recordRestarts(3);
  metrics.observePhase('secrets', 20);
  const text = await metrics.render();
  for (const line of [
    'vmsecretd_vms{state="failed"} 2',
    'vmsecretd_vms{state="stopped"} 1',
    'vmsecretd_vms{state="running"} 0',
    'vmsecretd_starts_total 2',
    'vmsecretd_failures_total{code="secret_missing",during="start"} 1',
    'vmsecretd_failures_total{code="vmm_refused",during="run"} 1',
    'vmsecretd_start_duration_seconds_bucket{le="0.01",phase="secrets"} 0',
    'vmsecretd_start_duration_seconds_bucket{le="0.025",phase="secrets"} 1',
    'vmsecretd_start_duration_seconds_sum{phase="ready"} 2',
    'vmsecretd_vm_restarts{vm="b"} 3',
    'vmsecretd_vms_outdated 1',
    `vmsecretd_build_info{version="1.2.3",node="${process.version}"} 1`,
    'vmsecretd_vm_state{vm="b",state="failed"} 1',
    'vmsecretd_vm_state{vm="b",state="running"} 0',
    'vmsecretd_vm_outdated{vm="a"} 1',
    'vmsecretd_vm_ready{vm="a"} 0',
  ]) {
    t.ok(text.split('\n').includes(line), line);
  }
  t.match(text, /^process_resident_memory_bytes \d+$/m);
  t.match(text, /^process_cpu_seconds_total 0?\.?\d/m);
  t.match(metrics.contentType, /^text\/plain; version=/);
});
