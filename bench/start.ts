// What a start costs: from POST start to the guest's first byte, against a VMM that a shell starts with the same OEM
// strings on its command line, and against a shell that opens the age files itself.
import { whyNoAge } from '../test/setup/age-program.js';
import { BareVm, bareCommand, decryptingCommand, type SealedSecret } from './bare-vm.js';
import { BenchVms, findVmm } from './bench-vms.js';
import { untilIdle } from './processes.js';
import { type Bench, type Goal, interleave, medianOf, type Series } from './row.js';

const GOAL: Goal = { of: 'ratio', atMost: 2 };
const GOAL_CREDENTIALS = 10;

export async function benchStart(bench: Bench): Promise<void> {
  const vmm = findVmm();
  bench.note(`VMM: ${vmm.name}`);
  const counts = bench.isShort ? [0, 10] : [0, 1, GOAL_CREDENTIALS, 40];
  const series: Record<'vmsecretd' | 'bare' | 'shell with age', Series['points'][number][]> = {
    vmsecretd: [],
    bare: [],
    'shell with age': [],
  };
  await BenchVms.use(vmm, async vms => {
    for (const count of counts) {
      const before = await readPhases(vms);
      const { ours, bare, scripted } = await startEachWay(vms, count, bench.rounds);
      const plural = count === 1 ? 'credential' : 'credentials';
      const goal = count === GOAL_CREDENTIALS ? GOAL : undefined;
      const what = `first byte, ${count} ${plural}`;
      bench.add({ what, unit: 'ms', against: 'bare VMM', goal }, { ours, theirs: bare });
      if (scripted.length > 0)
        bench.add({ what, unit: 'ms', against: 'shell with age -d' }, { ours, theirs: scripted });
      bench.note(`phases with ${count} ${plural} (mean): ${describePhases(before, await readPhases(vms))}`);
      series.vmsecretd.push({ size: count, value: medianOf(ours) });
      series.bare.push({ size: count, value: medianOf(bare) });
      if (scripted.length > 0) series['shell with age'].push({ size: count, value: medianOf(scripted) });
    }
  });
  bench.plot(
    'first byte by credentials',
    'ms',
    Object.entries(series).map(([name, points]) => ({ name, points })),
  );
}

async function startEachWay(
  vms: BenchVms,
  count: number,
  rounds: number,
): Promise<Record<'ours' | 'bare' | 'scripted', number[]>> {
  const secrets = await vms.seal(count);
  const bare = bareCommand(vms.vmm, vms.kernel, secrets);
  const scripted = decryptingCommand(vms.vmm, vms.kernel, secrets, vms.identity);
  const startBare = async (command: string): Promise<number> => {
    const beganAt = performance.now();
    const vm = await BareVm.start(command);
    const tookMs = performance.now() - beganAt;
    await vm.kill();
    return tookMs;
  };
  await startOurs(vms, secrets);
  const sides = { ours: () => startOurs(vms, secrets), bare: () => startBare(bare) };
  if (count === 0 || whyNoAge()) return { ...(await interleave(rounds, sides)), scripted: [] };
  return interleave(rounds, { ...sides, scripted: () => startBare(scripted) });
}

const VM = 'timed';

/** Of a VM that was never started before, by a daemon that is idle with its spare deliverer warm. */
async function startOurs(vms: BenchVms, secrets: readonly SealedSecret[]): Promise<number> {
  const { daemon } = vms;
  await daemon.define(VM, vms.definition(secrets));
  await untilIdle(daemon.pid);
  const { firstByte } = await vms.followConsole(VM);
  const beganAt = performance.now();
  const answered = daemon.act(VM, 'start');
  await Promise.race([firstByte, answered.then(() => firstByte)]);
  const tookMs = performance.now() - beganAt;
  await answered;
  await daemon.act(VM, 'kill');
  await daemon.call('DELETE', `/v1/vms/${VM}`);
  await untilIdle(daemon.pid);
  return tookMs;
}

type Phases = Map<string, { sumSeconds: number; count: number }>;

/** The daemon's own histogram, as Prometheus reads it. */
async function readPhases({ daemon }: BenchVms): Promise<Phases> {
  const { body } = await daemon.call('GET', '/metrics');
  const phases: Phases = new Map();
  const lines = body
    .toString()
    .matchAll(/^vmsecretd_start_duration_seconds_(sum|count)\{phase="(\w+)"\} (\S+)/gm);
  for (const [, kind, phase = '', value] of lines) {
    const { sumSeconds, count } = phases.get(phase) ?? { sumSeconds: 0, count: 0 };
    phases.set(
      phase,
      kind === 'sum' ? { sumSeconds: Number(value), count } : { sumSeconds, count: Number(value) },
    );
  }
  return phases;
}

function describePhases(before: Phases, after: Phases): string {
  const texts = [...after].map(([phase, { sumSeconds, count }]) => {
    const was = before.get(phase) ?? { sumSeconds: 0, count: 0 };
    return `${phase} ${((1000 * (sumSeconds - was.sumSeconds)) / (count - was.count)).toFixed(1)} ms`;
  });
  return texts.join(', ');
}
