import t from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import type { Release } from '../../../src/hypervisor/cloud-hypervisor/release.js';
import { stringifyExactly } from '../../../src/hypervisor/exact-json.js';
import {
  firstDifference,
  MEASURED,
  type MeasuredFile,
  type MeasuredLine,
  readCommandLines,
  releaseOf,
} from './command-lines.js';

/** What is wrong with our conversion of a line; undefined when it is what the program does. */
function judge(line: MeasuredLine, release: Release): string | undefined {
  if (line.error !== undefined) return judgeRefusal(line.argv, line.error, release);
  const { vmConfig, needsFileDescriptors } = convertCommand(line.argv, release);
  if (line.needsFds) return needsFileDescriptors.length > 0 ? undefined : 'its descriptors were not noticed';
  if (needsFileDescriptors.length > 0) return `it passes no descriptors, but got ${needsFileDescriptors}`;
  const output = JSON.parse(stringifyExactly(vmConfig));
  const missing = firstDifference(line.minimal, output);
  if (missing !== undefined) return `${missing} is missing or different`;
  const extra = firstDifference(output, line.full);
  return extra === undefined ? undefined : `${extra} is not in the program's own configuration`;
}

function judgeRefusal(argv: readonly string[], reason: string, release: Release): string | undefined {
  try {
    convertCommand(argv, release);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    const flag = /--[a-z-]+/.exec(reason)?.[0];
    if (error.code !== 'command_invalid') return `code ${error.code}`;
    if (!error.message.includes(String(error.details.flag))) return 'the message lacks the flag';
    return flag === undefined || error.message.includes(flag) ? undefined : `does not name ${flag}`;
  }
  return `accepted, but the program says: ${reason}`;
}

for (const [file, { release, count }] of Object.entries(MEASURED)) {
  t.test(`converts all ${count} lines of ${file} as ${release} does`, async t => {
    const lines = readCommandLines(file as MeasuredFile);
    t.equal(lines.length, count);
    const wrong = lines
      .map(line => ({ id: line.id, problem: judge(line, releaseOf(release)) }))
      .filter(({ problem }) => problem);
    t.same(wrong, []);
  });
}
