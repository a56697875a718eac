// Everything that reads what others wrote answers any bytes with a value or with its own error, soon, and at a bounded length.
// Inputs are samples that were cut, joined, repeated and sprinkled with bytes, and some that never were samples.

import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import tap, { test } from 'tap';
import { loadConfig } from '../../src/config.js';
import { hideCredentials } from '../../src/credentials/oem-string.js';
import { readDefinitionFile } from '../../src/definition/definitions.js';
import { parseDefinition } from '../../src/definition/parse-definition.js';
import { splitCommand } from '../../src/definition/split-command.js';
import { VmsecretdError } from '../../src/errors.js';
import { parseMetricsAddress } from '../../src/http/metrics-listener.js';
import { callVmm } from '../../src/hypervisor/cloud-hypervisor/api-client.js';
import { convertCommand } from '../../src/hypervisor/cloud-hypervisor/from-command.js';
import { qemuNeeds } from '../../src/hypervisor/qemu/host-needs.js';
import { childArguments, unitArguments } from '../../src/hypervisor/qemu/qemu-arguments.js';
import { readQemuCommand } from '../../src/hypervisor/qemu/qemu-command.js';
import { connectQmp } from '../../src/hypervisor/qemu/qmp-client.js';
import { findJsonFault } from '../../src/json-keys.js';
import { parseNotifyMessage } from '../../src/reports/notify-message.js';
import {
  isReceiptComplete,
  isReceiptCut,
  parseReceipt,
  ReceiptInvalidError,
} from '../../src/reports/receipt.js';
import { parseAgeHeader } from '../../src/secrets/age-header.js';
import { AgeFileError } from '../../src/secrets/age-identity.js';
import { decodeArmor } from '../../src/secrets/armor.js';
import { parseBech32 } from '../../src/secrets/bech32.js';
import { parseIdentityFile } from '../../src/secrets/identity-file.js';
import { IdentityFileError } from '../../src/secrets/identity-file-error.js';
import { parseOpensshKey } from '../../src/secrets/openssh-key.js';
import { readStanzas } from '../../src/secrets/plugin-stanza.js';
import { findValue } from '../../src/secrets/sops/find-value.js';
import { parseSopsFile } from '../../src/secrets/sops/sops-file.js';
import { SopsFileError } from '../../src/secrets/sops/sops-file-error.js';
import { VerifiedSopsFile } from '../../src/secrets/sops/verified-file.js';
import { parseStartTime, parseUid } from '../../src/system/procfs.js';
import { parseUnitFacts } from '../../src/system/systemctl.js';
import { sopsFixture } from '../setup/sops.js';
import { mutated } from './mutated.js';
import * as samples from './samples.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 200);
const seed = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);
tap.setTimeout(600_000);

/** A message is read by people. */
const MESSAGE_CHARACTERS = 4_000;
const SLOW_MS = 5_000;
const ANSWER_TIMEOUT_MS = 2_000;

interface Parser {
  samples: readonly string[];
  parse(bytes: Buffer): unknown;
  /** What it may throw. */
  errors: readonly (abstract new (
    ...args: never[]
  ) => Error)[];
  /** Of the default rounds, for what goes through files and sockets. */
  share?: number;
}

const folder = mkdtempSync(join(tmpdir(), 'vmsd-fuzz-'));
tap.teardown(() => rmSync(folder, { recursive: true, force: true }));
const context = {
  name: 'web',
  origin: 'api',
  path: '/web.json',
  directory: '/',
  defaultSupervisor: 'unit',
} as const;
const endpoints = {
  fifoPaths: [],
  oemStrings: ['a'],
  qmpSocketPath: '/q',
  consoleSocketPath: '/c',
  consoleLogPath: '/l',
};
const plugins = { path: '/nowhere', timeoutMs: 1 } as never;

const PARSERS: Readonly<Record<string, Parser>> = {
  'a command line': {
    samples: [samples.COMMAND, samples.QEMU_COMMAND],
    parse: bytes => splitCommand(bytes.toString()),
    errors: [VmsecretdError],
  },
  'a command line of cloud-hypervisor': {
    samples: [samples.COMMAND],
    parse: bytes => convertCommand(splitCommand(bytes.toString())),
    errors: [VmsecretdError],
  },
  'a command line of QEMU': {
    samples: [samples.QEMU_COMMAND],
    parse: bytes => {
      const argv = splitCommand(bytes.toString());
      const command = readQemuCommand(argv, true);
      return [unitArguments(command), childArguments(command, endpoints), qemuNeeds(argv)];
    },
    errors: [VmsecretdError],
  },
  'the JSON of a definition': {
    samples: [samples.DEFINITION],
    parse: bytes => parseDefinition(JSON.parse(bytes.toString()), context),
    errors: [VmsecretdError, SyntaxError],
  },
  'a definition file': {
    samples: [samples.DEFINITION],
    parse: bytes => {
      const path = join(folder, 'web.json');
      writeFileSync(path, bytes);
      return readDefinitionFile(path, { origin: 'file', defaultSupervisor: 'unit', trust: 'links' });
    },
    errors: [VmsecretdError],
    share: 0.5,
  },
  'config.json': {
    samples: [samples.CONFIG],
    parse: bytes => {
      const path = join(folder, 'config.json');
      writeFileSync(path, bytes);
      return loadConfig(path);
    },
    errors: [VmsecretdError],
    share: 0.5,
  },
  'keys of JSON': {
    samples: [samples.DEFINITION],
    parse: bytes => {
      const text = bytes.toString();
      JSON.parse(text);
      return findJsonFault(text);
    },
    errors: [SyntaxError],
  },
  'metrics.listen': {
    samples: ['127.0.0.1:9101', '[::1]:1', '/run/a'],
    parse: bytes => parseMetricsAddress(bytes.toString()),
    errors: [VmsecretdError],
  },
  'the header of an age file': {
    samples: [samples.AGE_FILE],
    parse: bytes => parseAgeHeader(bytes),
    errors: [AgeFileError],
  },
  'an armored age file': {
    samples: [samples.ARMOR],
    parse: bytes => decodeArmor(bytes),
    errors: [AgeFileError],
  },
  'a sops file': {
    samples: ['values.yaml', 'values.json', 'values.env', 'values.ini', 'key-groups.yaml'].map(name =>
      readFileSync(sopsFixture('v3.11.0', name), 'latin1'),
    ),
    parse: async bytes => {
      const file = await parseSopsFile(bytes);
      return new VerifiedSopsFile(file, Buffer.alloc(32)).open(findValue(file, ['a', '0']));
    },
    errors: [SopsFileError],
  },
  'an identity file': {
    samples: [samples.PEM, `# comment\nAGE-SECRET-KEY-1${'Q'.repeat(58)}\nAGE-PLUGIN-X-1QQQQQQ\n`],
    parse: bytes => parseIdentityFile(Buffer.from(bytes), '/identity', { passphrases: [], plugins }).length,
    errors: [IdentityFileError],
  },
  'an OpenSSH key': {
    samples: [samples.OPENSSH.toString('latin1')],
    parse: parseOpensshKey,
    errors: [IdentityFileError],
  },
  'a Bech32 key': { samples: ['AGE-SECRET-KEY-1QQQQQQ'], parse: parseBech32, errors: [] },
  'what a plugin says': {
    samples: ['-> file-key 0\nAAAA\n-> done\n\n'],
    parse: async bytes => {
      const stanzas = [];
      for await (const stanza of readStanzas(Readable.from([bytes]))) stanzas.push(stanza);
      return stanzas.length;
    },
    errors: [Error],
  },
  'a notification of a guest': { samples: [samples.NOTIFY], parse: parseNotifyMessage, errors: [] },
  'a receipt': {
    samples: [samples.RECEIPT],
    parse: bytes => [isReceiptComplete(bytes), isReceiptCut(bytes), parseReceipt(bytes)],
    errors: [ReceiptInvalidError],
  },
  'what a VMM quotes': {
    samples: [`io.systemd.credential.binary:A=${'QUJD'.repeat(9)} io.systemd.credential:B=c`],
    parse: bytes => hideCredentials(bytes.toString('latin1')),
    errors: [],
  },
  'what /proc says': {
    samples: [samples.STAT, samples.UNIX, '0::/a\n1:name=systemd:/b\n'],
    parse: bytes => {
      const text = bytes.toString();
      return [parseStartTime(text), parseUid(text)];
    },
    errors: [],
  },
  'what systemctl says': {
    samples: [samples.UNIT],
    parse: bytes => parseUnitFacts(bytes.toString()),
    errors: [VmsecretdError],
  },
  'what cloud-hypervisor answers': {
    samples: [samples.HTTP, samples.HTTP_CHUNKED],
    parse: bytes =>
      answered(bytes, path =>
        callVmm({ vm: 'web', socketPath: path, timeoutMs: ANSWER_TIMEOUT_MS }, 'vm.boot'),
      ),
    errors: [VmsecretdError],
    share: 0.5,
  },
  'what QEMU answers': {
    samples: [samples.QMP],
    parse: bytes =>
      answered(bytes, async path => {
        const qmp = await connectQmp(path, { timeoutMs: ANSWER_TIMEOUT_MS });
        return qmp.execute('query-version').finally(() => qmp.close());
      }),
    errors: [VmsecretdError],
    share: 0.5,
  },
};

/** @param ask asks a server that says these bytes to everybody, and then no more */
async function answered(bytes: Buffer, ask: (path: string) => Promise<unknown>): Promise<unknown> {
  const path = join(folder, 'vmm.sock');
  const server = createServer(socket =>
    socket
      .on('error', () => {})
      .resume()
      .end(bytes),
  );
  await once(server.listen(path), 'listening');
  try {
    return await ask(path);
  } finally {
    server.close();
    await once(server, 'close');
  }
}

async function survives({ parse, errors }: Parser, bytes: Buffer): Promise<void> {
  const beganAt = performance.now();
  try {
    const value = await parse(bytes);
    const size = JSON.stringify(value)?.length ?? 0;
    if (size > 50 * bytes.length + 20_000)
      throw new RangeError(`${size} characters of ${bytes.length} bytes`);
  } catch (error) {
    if (!errors.some(kind => error instanceof kind)) throw error;
    const { length } = (error as Error).message;
    if (length > MESSAGE_CHARACTERS) throw new RangeError(`a message of ${length} characters`);
  }
  const tookMs = performance.now() - beganAt;
  if (tookMs > SLOW_MS) throw new RangeError(`${tookMs} ms`);
}

for (const [what, parser] of Object.entries(PARSERS)) {
  const numRuns = Math.ceil(ROUNDS * (parser.share ?? 1));
  test(`takes or refuses ${what}, whatever it is (${numRuns} rounds, seed ${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(mutated(parser.samples), bytes => survives(parser, bytes)),
      { numRuns, seed },
    );
  });
}
