// Prints the package.json of a package: without what only a clone needs, and with the commit that it was made of.
const manifest = require('../package.json');

for (const key of ['private', 'scripts', 'dependencies', 'devDependencies', 'overrides', 'files', 'tap'])
  delete manifest[key];
process.stdout.write(`${JSON.stringify({ ...manifest, gitHead: process.argv[2] }, null, 2)}\n`);
