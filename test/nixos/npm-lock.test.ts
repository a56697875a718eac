import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();

interface Sources {
  package: { devDependencies: object };
  tarballs: Record<string, { spec: string; integrity: string }>;
}

t.test(
  'every dependency of a build has its spec and its hash, and no linter is among them',
  { skip },
  async t => {
    const sources = (await evaluate(`import (pure + "/npm-lock.nix") {
    lock = builtins.fromJSON (builtins.readFile (pure + "/../../package-lock.json"));
    manifest = builtins.fromJSON (builtins.readFile (pure + "/../../package.json"));
  }`)) as Sources;
    t.strictSame(Object.keys(sources.package.devDependencies), [
      '@fastify/swagger',
      '@types/node',
      'esbuild',
      'typescript',
    ]);
    t.match(sources.tarballs['node_modules/fastify'], { spec: /^fastify@\d/, integrity: /^sha512-/ });
    for (const path of ['node_modules/tap', 'node_modules/@biomejs/biome'])
      t.notOk(sources.tarballs[path], path);
  },
);

t.test('refuses a dependency without a hash', { skip }, async t => {
  await t.rejects(
    evaluate(`import (pure + "/npm-lock.nix") {
      manifest = { }; lock.packages = { "" = { }; "node_modules/a" = { version = "1.0.0"; }; };
    }`),
    /node_modules\/a has no integrity/,
  );
});
