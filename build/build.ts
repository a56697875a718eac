// Part of npm run build: what is installed, made of the compiled sources. One file for each program, openapi.json, and the
// licenses of the packages that are in them.
import { rmSync, writeFileSync } from 'node:fs';
import { bundle } from './bundle.js';
import { renderLicenses } from './licenses.js';
import { renderOpenApi } from './openapi.js';

const FOLDER = 'dist/bundle';

// Parts are named by what is in them.
rmSync(FOLDER, { recursive: true, force: true });
const { packages } = await bundle(FOLDER);
writeFileSync(`${FOLDER}/LICENSES.txt`, renderLicenses(packages));
writeFileSync(`${FOLDER}/openapi.json`, await renderOpenApi());
