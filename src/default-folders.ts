// Where the programs look, unless they are told.
import { isAbsolute, join } from 'node:path';

export interface Folders {
  /** config.json itself. */
  config: string;
  runtimeDirectory: string;
  stateDirectory: string;
  definitionsDirectory: string;
}

/** The system's paths for root, XDG's for everybody else; systemd's RUNTIME_DIRECTORY and STATE_DIRECTORY win over both. */
export function defaultFolders(environment: NodeJS.ProcessEnv, isRoot: boolean): Folders {
  const home = environment.HOME ?? '/';
  const xdg = (name: string, fallback: string) => {
    const value = environment[name];
    return join(value !== undefined && isAbsolute(value) ? value : fallback, 'vmsecretd');
  };
  const configuration = isRoot ? '/etc/vmsecretd' : xdg('XDG_CONFIG_HOME', join(home, '.config'));
  const runtime = isRoot ? '/run/vmsecretd' : xdg('XDG_RUNTIME_DIR', `/run/user/${process.getuid?.() ?? 0}`);
  const state = isRoot ? '/var/lib/vmsecretd' : xdg('XDG_STATE_HOME', join(home, '.local/state'));
  return {
    config: join(configuration, 'config.json'),
    runtimeDirectory: environment.RUNTIME_DIRECTORY?.split(':')[0] || runtime,
    stateDirectory: environment.STATE_DIRECTORY?.split(':')[0] || state,
    definitionsDirectory: join(configuration, 'vms'),
  };
}
