// Prints each state of a unit as a line of JSON, until it is in the state given, such as "failed failed".

import { UnitWatch } from '../../../src/supervisor/unit/unit-watch.js';
import { createSystemctl } from '../../../src/system/systemctl.js';

const [unit = '', lastState = ''] = process.argv.slice(2);
const watch = new UnitWatch({ systemctl: createSystemctl(), logger: console });
watch.watch(unit, facts => {
  console.log(JSON.stringify(facts));
  if (`${facts.activeState} ${facts.subState}` === lastState) void watch.close();
});
