import { CLOUD_HYPERVISOR } from './vmm.js';
import { runVmmSuite } from './vmm-suite.js';

runVmmSuite(CLOUD_HYPERVISOR);
