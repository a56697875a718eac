// Curves as text: one bar a point, all of one scale, so that one sees how a figure grows.
import type { Row, Series } from './row.js';

const BAR_CHARACTERS = 40;

export function plot(title: string, unit: Row['unit'], series: readonly Series[]): string {
  const points = series.flatMap(({ points }) => points);
  const largest = Math.max(...points.map(({ value }) => value));
  const nameWidth = Math.max(...series.map(({ name }) => name.length));
  const lines = series.flatMap(({ name, points }) =>
    points.map(({ size, value }, index) => {
      const bar = '█'.repeat(Math.max(1, Math.round((value / largest) * BAR_CHARACTERS)));
      const label = (index === 0 ? name : '').padEnd(nameWidth);
      return `  ${label} ${String(size).padStart(5)} ${bar} ${formatNumber(value)} ${unit}`;
    }),
  );
  return [title, ...lines].join('\n');
}

/** Three digits that tell something. */
export function formatNumber(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 3;
  return value.toFixed(digits);
}
