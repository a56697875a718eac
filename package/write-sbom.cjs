// Reads npm's bill of materials and prints it without what differs each time.
const { readFileSync } = require('node:fs');

const sbom = JSON.parse(readFileSync(0, 'utf8'));
delete sbom.serialNumber;
sbom.metadata.timestamp = new Date(Number(process.argv[2]) * 1000).toISOString();
process.stdout.write(`${JSON.stringify(sbom, null, 2)}\n`);
