import t from 'tap';
import { renderOptionsPage } from '../../docs/nixos-options.js';
import { missingNix } from './nix.js';

t.test(
  'the page of the options has every option, and what it says',
  { skip: await missingNix() },
  async t => {
    const { path, now, fresh } = await renderOptionsPage();
    t.match(fresh, '`services.vmsecretd.enable`');
    t.equal(now, fresh, `${path} is what the modules say; npm run docs writes it anew`);
  },
);
