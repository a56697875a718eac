import t from 'tap';
import { renderPages } from '../../docs/reference.js';

for (const { path, now, fresh } of renderPages()) {
  t.equal(now, fresh, `${path} is what its schema says; npm run docs writes it anew`);
}
