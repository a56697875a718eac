import fc from 'fast-check';
import t from 'tap';
import { parse } from 'yaml';
import { renderYaml } from '../../src/cli/yaml.js';

t.test('YAML means what the JSON meant, in 1.1 and 1.2', async t => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const json = JSON.stringify(value);
      for (const version of ['1.1', '1.2'] as const)
        t.equal(JSON.stringify(parse(renderYaml(JSON.parse(json)), { version })), json);
    }),
    { numRuns: 300 },
  );
  t.equal(
    renderYaml({ vms: [{ name: 'web', pid: 1, ok: 'yes', of: [] }], none: {}, E6: 'e5' }),
    'vms:\n  - name: web\n    pid: 1\n    ok: "yes"\n    of: []\nnone: {}\n"E6": "e5"',
  );
});
