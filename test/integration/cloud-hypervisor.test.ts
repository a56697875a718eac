import t from 'tap';
import { CLOUD_HYPERVISORS } from './vmm.js';
import { runVmmSuite } from './vmm-suite.js';

/** On a busy machine, for one program. */
const TIMEOUT_MS = 300_000;

t.setTimeout(TIMEOUT_MS * CLOUD_HYPERVISORS.length);
for (const vmm of CLOUD_HYPERVISORS) runVmmSuite(vmm);
