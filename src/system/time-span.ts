const MILLISECONDS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time span as systemctl shows it (systemd.time(7)), such as `1min 30s`. @returns undefined for anything else */
export function parseTimeSpanMs(text: string): number | undefined {
  const parts = text.split(' ').map(part => /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(part));
  const spans = parts.map(part => Number(part?.[1]) * (MILLISECONDS[part?.[2] ?? ''] ?? Number.NaN));
  const total = spans.reduce((sum, span) => sum + span, 0);
  return Number.isNaN(total) ? undefined : total;
}
