// What an operator learns of a plugin that does not do what it should; that one which does opens files is in
// identity-kinds.test.ts.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import t from 'tap';
import { loadIdentities } from '../../src/secrets/identities.js';
import { openSource } from '../../src/secrets/source.js';
import { PLUGIN_FOLDER } from '../setup/age-program.js';
import { encodeBech32 } from '../setup/encode-bech32.js';

const folder = t.testdir({});
const at = (name: string) => join(folder, name);
const searchPath = `${PLUGIN_FOLDER}:${process.env.PATH}`;
const key = await generateX25519Identity();
writeFileSync(at('native'), `${key}\n`, { mode: 0o600 });
const encrypter = new Encrypter();
encrypter.addRecipient(await identityToRecipient(key));
writeFileSync(at('file.age'), await encrypter.encrypt('hello'));

function encodeIdentity(plugin: string, word: string): string {
  return encodeBech32(`age-plugin-${plugin}-`, Buffer.from(word)).toUpperCase();
}

async function open(
  plugin: string,
  word: string,
  settings = { searchPath, timeoutMs: 20_000 },
  more: string[] = [],
) {
  writeFileSync(at('identity'), `${encodeIdentity(plugin, word)}\n`, { mode: 0o600 });
  const identities = await loadIdentities(
    { vm: 'my-app', paths: [at('identity'), ...more], passphraseFiles: [] },
    settings,
  );
  const value = await openSource(
    { vm: 'my-app', credential: 'API_KEY', source: { age: at('file.age') } },
    identities,
  );
  return value.open(bytes => bytes.toString());
}

function fails(title: string, word: string, message: RegExp) {
  t.test(title, async t => {
    const error = await open('fixture', word).catch(error => error);
    t.equal(error.code, 'secret_no_identity');
    t.match(error.message, message);
    t.notMatch(error.message, encodeIdentity('fixture', word), 'without the identity');
    t.notMatch(error.message.replaceAll('\n', 'LF'), /\p{Cc}/u, 'without control characters');
  });
}

fails(
  'passes on the error of a plugin',
  'fails',
  /age-plugin-fixture failed: the token is not plugged in .*plug it in/,
);
fails('answers a question with fail, since nobody is there', 'asks', /it asks: PIN please; no PIN: fail/);
fails(
  'tells the exit status and the words of a plugin that leaves',
  'leaves',
  /exit status 7; cannot find the token of \[identity\], NOTIFY_SOCKET=undefined/,
);
fails('refuses a plugin that speaks something else', 'babbles', /does not speak the plugin protocol/);
fails('refuses a file key of another length', 'short-key', /file key of another length/);
fails(
  'a plugin that knows nothing is one that did not match',
  'knows-nothing',
  /encrypted to other keys\..*Tried: .*plugin fixture \(plugin\)/,
);

t.test('ends a plugin that takes too long, even where its child holds the pipes', async t => {
  for (const plugin of ['fixture', 'sleeps']) {
    const settings = { searchPath, timeoutMs: 1_000 };
    await t.rejects(open(plugin, 'hangs', settings), { message: /did not finish within 1 seconds/ }, plugin);
  }
});

t.test('names the program and the folders where there is none', async t => {
  const settings = { searchPath: '/nowhere', timeoutMs: 1_000 };
  await t.rejects(open('fixture', 'opens', settings), {
    code: 'secret_no_identity',
    message: /age-plugin-fixture failed: it is in no folder of PATH \(\/nowhere\)/,
  });
});

t.test('a key at hand is tried before a plugin, so that a failing one is never run', async t => {
  t.equal(await open('fixture', 'hangs', { searchPath, timeoutMs: 20_000 }, [at('native')]), 'hello');
});
