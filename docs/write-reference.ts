// npm run docs: writes the generated parts of the documentation.
import { writeFileSync } from 'node:fs';
import { renderOptionsPage } from './nixos-options.js';
import { renderPages } from './reference.js';

for (const { path, fresh } of [...renderPages(), await renderOptionsPage()]) writeFileSync(path, fresh);
