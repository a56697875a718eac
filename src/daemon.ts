#!/usr/bin/env node
// The vmsecretd program. Its first line comes before all that it loads, which takes some 300 ms.
import './system/ignore-debugger.js';
import './system/require-node.js';

await import('./daemon-main.js');
