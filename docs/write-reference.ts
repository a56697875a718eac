// npm run docs: writes the generated parts of the documentation.
import { writeFileSync } from 'node:fs';
import { renderPages } from './reference.js';

for (const { path, fresh } of renderPages()) writeFileSync(path, fresh);
