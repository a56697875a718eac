import { STAND_IN } from './vmm.js';
import { runVmmSuite } from './vmm-suite.js';

runVmmSuite(STAND_IN);
