// Goal and figure side by side, as a Markdown table for a terminal and for docs/performance.md.
import { formatNumber } from './plot.js';
import { isMet, type Row, type Spread } from './row.js';

const HEAD = ['what', 'unit', 'vmsecretd', 'without it', '', 'ratio', 'goal', ''];

export function table(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(3, ...cells.map(row => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`;
  const rule = `| ${widths.map(width => '-'.repeat(width)).join(' | ')} |`;
  return [line(HEAD), rule, ...cells.slice(1).map(line)].join('\n');
}

function cellsOf(row: Row): string[] {
  const { what, unit, against, ours, theirs, ratio, goal } = row;
  const met = isMet(row);
  return [
    what,
    unit,
    spreadText(ours),
    theirs === undefined ? '' : spreadText(theirs),
    theirs === undefined ? '' : (against ?? ''),
    ratio === undefined ? '' : formatNumber(ratio),
    goal === undefined ? '' : `${goal.of === 'ratio' ? 'ratio ' : ''}≤ ${goal.atMost}`,
    met === undefined ? '' : met ? 'met' : 'missed',
  ];
}

function spreadText({ median, lower, upper, samples }: Spread): string {
  if (samples < 2) return formatNumber(median);
  return `${formatNumber(median)} (${formatNumber(lower)} to ${formatNumber(upper)})`;
}
