// A line of the result: what was measured, on our side and on the other, and what was hoped for.

export interface Spread {
  median: number;
  /** Quartiles: half of the samples lie between them. */
  lower: number;
  upper: number;
  samples: number;
}

/** Smaller is better in all that has a goal. */
export interface Goal {
  of: 'ratio' | 'ours';
  atMost: number;
}

export interface RowHead {
  what: string;
  unit: 'ms' | 'ms/s' | 'µs' | 'MiB' | 'requests/s' | 'lines/s' | 'µs/KiB';
  /** What a user has without us. */
  against?: string;
  goal?: Goal | undefined;
}

export interface Row extends RowHead {
  ours: Spread;
  theirs?: Spread;
  /** Ours by theirs, of the medians. */
  ratio?: number;
}

/** What a section is told, and where it leaves its rows. */
export interface Bench {
  /** Of a measurement that takes tens of milliseconds; slower ones take a share of it. */
  rounds: number;
  /** Every program runs and every row is there, with few and small things: for a test. */
  isShort: boolean;
  add(head: RowHead, samples: Samples): void;
  /** A curve on the terminal: all rows of a series by their size. */
  plot(title: string, unit: Row['unit'], series: readonly Series[]): void;
  note(text: string): void;
}

export interface Series {
  name: string;
  points: readonly { size: number; value: number }[];
}

export interface Samples {
  ours: readonly number[];
  theirs?: readonly number[];
}

export function rowOf(head: RowHead, { ours, theirs }: Samples): Row {
  if (theirs === undefined) return { ...head, ours: spreadOf(ours) };
  const sides = { ours: spreadOf(ours), theirs: spreadOf(theirs) };
  return { ...head, ...sides, ratio: sides.ours.median / sides.theirs.median };
}

export function isMet({ ours, ratio, goal }: Row): boolean | undefined {
  if (goal === undefined) return undefined;
  const reached = goal.of === 'ours' ? ours.median : ratio;
  return reached !== undefined && reached <= goal.atMost;
}

export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const place = (sorted.length - 1) * share;
    const [below = Number.NaN, above = below] = sorted.slice(Math.floor(place));
    return below + (above - below) * (place % 1);
  };
  return { median: at(0.5), lower: at(0.25), upper: at(0.75), samples: sorted.length };
}

export const medianOf = (samples: readonly number[]): number => spreadOf(samples).median;

/** Takes one sample. */
type Side = () => Promise<number> | number;

/** One sample of every side, and again: whatever else the machine does meets them all. Each goes first in its turn. */
export async function interleave<Sides extends { [Name in keyof Sides]?: Side }>(
  rounds: number,
  sides: Sides,
): Promise<{ [Name in keyof Sides]: number[] }> {
  const all = Object.entries<Side>(sides as Record<string, Side>).map(([name, take]) => ({
    name,
    take,
    samples: [] as number[],
  }));
  for (let round = 0; round < rounds; round += 1) {
    for (const { take, samples } of [...all.slice(round % all.length), ...all.slice(0, round % all.length)])
      samples.push(await take());
  }
  return Object.fromEntries(all.map(({ name, samples }) => [name, samples])) as {
    [Name in keyof Sides]: number[];
  };
}

export async function durationOf(work: () => unknown): Promise<number> {
  const beganAt = performance.now();
  await work();
  return performance.now() - beganAt;
}
