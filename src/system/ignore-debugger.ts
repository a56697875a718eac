// At SIGUSR1 Node would open a debugger, to which every user of the host can connect. Loaded before anything else: what a
// signal opened while Node itself was starting is closed again, unless the command line asks for it.
import { close, url } from 'node:inspector';

process.on('SIGUSR1', () => {});
const closeDebugger = () => {
  if (url() !== undefined) close();
};
if (!/--inspect/.test([...process.execArgv, process.env.NODE_OPTIONS].join(' '))) {
  closeDebugger();
  // A signal that came just before is heard a moment later.
  setImmediate(closeDebugger);
}
