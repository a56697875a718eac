// A cgroup of its own for each container. systemd-nspawn puts a container into the cgroup `payload` of the caller's cgroup.
// Two callers in one cgroup therefore give their containers the same cgroup, and each systemd removes the cgroups of the
// other one's units, whose processes it does not see: units fail at random, and the boot may wait for them for ever.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';

export interface OwnCgroup {
  /** POSIX shell command: the shell and what it becomes enter the cgroup. */
  enter: string;
  /** With every process in it. */
  remove(): Promise<void>;
}

// Ends what is left, the init of a container whose systemd-nspawn was killed. A cgroup goes with its folder, the inner ones
// first, and once its processes are gone.
const REMOVE = `
  find "$1" -name cgroup.procs -exec cat {} + | sort -u | xargs --no-run-if-empty kill -s KILL
  for try in $(seq 100); do find "$1" -depth -type d -delete && exit; sleep 0.1; done
  exit 1`;

export function createOwnCgroup(name: string): OwnCgroup {
  const folders = systemdCgroups().map(folder => join(folder, name));
  for (const folder of folders) mkdirSync(folder);
  return {
    enter: folders.map(folder => `echo $$ > '${join(folder, 'cgroup.procs')}'`).join(' && ') || ':',
    remove: async () => {
      for (const folder of folders.filter(existsSync)) await execa('sh', ['-c', REMOVE, 'sh', folder]);
    },
  };
}

/** Where systemd keeps its cgroups: the unified hierarchy, the one with its name, or both. */
function systemdCgroups(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map(line => line.split(' '));
  return readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .flatMap(line => {
      const [, controllers = '', path] = line.split(':');
      if (path === undefined || !['', 'name=systemd'].includes(controllers)) return [];
      const mount = mounts.find(fields => {
        const [type, , options] = fields.slice(fields.indexOf('-') + 1);
        return controllers === ''
          ? type === 'cgroup2'
          : type === 'cgroup' && options?.split(',').includes(controllers);
      });
      return mount?.[4] === undefined ? [] : [join(mount[4], path)];
    });
}
