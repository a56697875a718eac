// --cpus

import { quoteValue } from '../../../definition/command-error.js';
import { affinity, textList } from '../option-lists.js';
import { cpuTopology, unsigned } from '../option-numbers.js';
import type { OptionTable, ReadOption } from '../option-table.js';
import { oneOf, oneOfExactly, toggle } from '../option-values.js';
import type { JsonObject } from '../vm-config.js';

const FEATURES = ['amx'];

export const cpus: OptionTable = {
  keys: {
    boot: { value: unsigned(32), field: 'boot_vcpus', fallback: 1 },
    max: { value: unsigned(32), field: 'max_vcpus' },
    topology: { value: cpuTopology },
    kvm_hyperv: { value: toggle },
    max_phys_bits: { value: unsigned(8) },
    affinity: { value: affinity('vcpu', 32) },
    features: { value: textList, field: null },
    nested: { value: toggle },
    core_scheduling: { value: oneOf({ vm: 'Vm', vcpu: 'Vcpu', off: 'Off' }) },
    profile: { value: oneOfExactly({ Host: 'Host' }) },
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
