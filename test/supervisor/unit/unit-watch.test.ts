import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UnitWatch, unitObjectPath } from '../../../src/supervisor/unit/unit-watch.js';
import type { UnitFacts } from '../../../src/system/systemctl.js';
import { Changes } from '../../setup/changes.js';

const UNIT = 'microvm@web.service';

t.test('a listener hears how a unit is, each change at its signal, and nothing after it left', async t => {
  const folder = t.testdir({ signals: '' });
  const signals = join(folder, 'signals');
  const busctl = join(folder, 'busctl');
  const monitor = `#!/bin/sh\necho 'Monitoring bus message stream.' >&2\nexec tail -n +1 -f '${signals}'\n`;
  writeFileSync(busctl, monitor, { mode: 0o755 });
  let activeState: UnitFacts['activeState'] = 'inactive';
  const reads = new Changes<string>();
  const show = async (unit: string) => {
    reads.push(unit);
    return { activeState } as UnitFacts;
  };
  const watch = new UnitWatch({ systemctl: { show }, program: busctl });
  t.teardown(() => watch.close());
  const heard = new Changes<string>();
  const unwatch = watch.watch(UNIT, facts => heard.push(facts.activeState));
  const signal = (unit: string) => appendFileSync(signals, `{"path":"${unitObjectPath(unit)}"}\n`);
  await heard.until('how it is', seen => seen.length === 1);
  activeState = 'active';
  signal(UNIT);
  await heard.until('the change', seen => seen.at(-1) === 'active');
  reads.forget();
  signal('other.service');
  signal(UNIT);
  await reads.until('it was read again', seen => seen.length > 0);
  t.strictSame(heard.seen, ['inactive', 'active'], 'the same again is no news');
  t.notOk(reads.seen.includes('other.service'));
  unwatch();
  reads.forget();
  activeState = 'failed';
  const second = new Changes<string>();
  watch.watch('db.service', facts => second.push(facts.activeState));
  signal(UNIT);
  signal('db.service');
  await second.until('the other is read', seen => seen.length > 0);
  await watch.close();
  t.strictSame(heard.seen, ['inactive', 'active']);
});
