import { QEMU } from './vmm.js';
import { runVmmSuite } from './vmm-suite.js';

runVmmSuite(QEMU);
