// --cpus

import { quoteValue } from '../../../definition/command-error.js';
import type { JsonObject } from '../../exact-json.js';
import { affinity, textList } from '../option-lists.js';
import { cpuTopology, unsigned } from '../option-numbers.js';
import type { OptionTable, ReadOption } from '../option-table.js';
import { changedIn, oneOf, oneOfExactly, toggle } from '../option-values.js';

const FEATURES = ['amx'];
/** One byte counted them before. */
const VCPUS = changedIn(48_00, unsigned(8), unsigned(32));

export const cpus: OptionTable = {
  keys: {
    boot: { value: VCPUS, field: 'boot_vcpus', fallback: 1 },
    max: { value: VCPUS, field: 'max_vcpus' },
    topology: { value: changedIn(48_00, cpuTopology(8), cpuTopology(16)) },
    kvm_hyperv: { value: toggle },
    max_phys_bits: { value: unsigned(8) },
    affinity: { value: changedIn(48_00, affinity('vcpu', 8), affinity('vcpu', 32)) },
    features: { value: textList, field: null },
    nested: { value: toggle, since: 50_00 },
    core_scheduling: { value: oneOf({ vm: 'Vm', vcpu: 'Vcpu', off: 'Off' }), since: 52_00 },
    profile: { value: oneOfExactly({ Host: 'Host' }), since: 53_00 },
  },
  build: buildCpus,
};

function buildCpus({ fields, values, fail }: ReadOption): JsonObject {
  fields.max_vcpus ??= fields.boot_vcpus;
  if (values.features === undefined) return fields;
  const features: JsonObject = {};
  for (const feature of values.features as string[]) {
    if (!FEATURES.includes(feature))
      fail(`there is no CPU feature ${quoteValue(feature)}, only amx.`, 'features');
    features[feature] = true;
  }
  return { ...fields, features };
}
