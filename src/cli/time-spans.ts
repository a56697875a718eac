// Spans of time as tables show them: the two largest units.
const UNITS: readonly [name: string, seconds: number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
];

/** @param since RFC 3339 @returns such as `3d 4h`, `12m 5s` or `42s` */
export function describeAge(now: Date, since: string): string {
  return describeSeconds((now.getTime() - Date.parse(since)) / 1000);
}

/** @param until RFC 3339; what is past is `0s` */
export function describeDelay(now: Date, until: string): string {
  return describeSeconds((Date.parse(until) - now.getTime()) / 1000);
}

function describeSeconds(exact: number): string {
  const seconds = Math.max(0, Math.round(exact));
  const largest = UNITS.findIndex(([, unit]) => seconds >= unit);
  if (largest < 0) return '0s';
  let rest = seconds;
  const parts = UNITS.slice(largest, largest + 2).map(([name, unit]) => {
    const count = Math.floor(rest / unit);
    rest -= count * unit;
    return count === 0 ? '' : `${count}${name}`;
  });
  return parts.filter(Boolean).join(' ');
}
