// The deliverer's program. Its first line comes before all that it loads, as the daemon's does.
import '../system/ignore-debugger.js';

await import('./deliverer.js');
