// What systemd's journal has last of a daemon that does not answer.

import { execa } from 'execa';
import { fieldOf } from '../../json-field.js';
import { type Finding, warning } from './finding.js';

const LINES = 3;

/** @param journalctl its name, or its path */
export async function readLastWords(journalctl = 'journalctl'): Promise<Finding[]> {
  const { failed, stdout } = await execa(
    journalctl,
    ['--unit=vmsecretd.service', `--lines=${LINES}`, '--output=cat', '--no-pager', '--quiet'],
    { reject: false, stdin: 'ignore', timeout: 10_000 },
  );
  const lines = failed ? [] : stdout.split('\n').filter(line => line.trim() !== '');
  return lines.map(line => warning('journal', tidy(line), 'journalctl -u vmsecretd -n 20 shows more'));
}

/** Of a log record its words; of anything else what a terminal may have. */
function tidy(line: string): string {
  const text = line.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 500);
  try {
    const json: unknown = JSON.parse(text);
    const words = [fieldOf(json, 'msg'), fieldOf(fieldOf(json, 'err'), 'message')];
    return words.filter(Boolean).join(': ') || text;
  } catch {
    return text;
  }
}
