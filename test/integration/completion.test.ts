// The completion scripts, sourced by the shells that are here, with VM names of a real daemon.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNotOnPath } from '../setup/programs.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

/** How each shell is asked for the completions of what was typed; the last word is unfinished. */
const PROBES: Record<string, (script: string, words: readonly string[]) => string> = {
  bash: (script, words) =>
    `${script}\nCOMP_WORDS=(${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
    _vmsecretctl; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // compadd itself works in an editor only, and filters by the unfinished word.
  zsh: (script, words) =>
    `compdef() { }; compadd() { shift; print -l -- \${(M)@:#$words[-1]*}; }; _files() { }; ${script}
    CURRENT=${words.length}; words=(${words.map(word => `'${word}'`).join(' ')}); _vmsecretctl`,
  fish: (script, words) => `${script}\ncomplete -C '${words.join(' ')}'`,
};

for (const [shell, probe] of Object.entries(PROBES)) {
  const skip = whyNotOnPath(shell);
  daemonTest(
    `${shell} completes commands, options and names of VMs`,
    { ...options, skip },
    async (t, rig) => {
      const { daemon } = rig;
      await defineVm(STAND_IN, rig, 'web');
      const { status, stdout: script } = await daemon.ctl('completion', shell);
      t.equal(status, 0);
      const programs = join(daemon.folder, 'programs');
      mkdirSync(programs);
      const asked = join(daemon.folder, 'asked');
      writeFileSync(
        join(programs, 'vmsecretctl'),
        `#!/bin/sh\ntouch '${asked}'\nexec '${process.execPath}' '${process.cwd()}/dist/src/cli/vmsecretctl.js' "$@"\n`,
      );
      chmodSync(join(programs, 'vmsecretctl'), 0o755);
      const complete = (...words: string[]) => {
        const { stdout, stderr } = spawnSync(shell, ['-c', probe(script, ['vmsecretctl', ...words])], {
          encoding: 'utf8',
          cwd: programs,
          env: {
            HOME: programs,
            PATH: `${programs}:${process.env.PATH}`,
            VMSECRETD_SOCKET: daemon.socket('admin'),
          },
        });
        t.equal(stderr, '');
        // fish adds the description.
        return stdout
          .split('\n')
          .map(line => line.split('\t')[0])
          .filter(Boolean)
          .join(' ');
      };
      t.equal(complete('res'), 'restart resume');
      t.notOk(existsSync(asked), 'the daemon is asked for names once they are wanted');
      t.equal(complete('restart', '--o'), '--outdated');
      t.equal(complete('start', 'w'), 'web');
      t.equal(complete('reload', 'w'), '');
      t.equal(complete('--json', 'start', 'w'), 'web');
      t.equal(complete('completion', 'f'), 'fish');
      t.equal(complete('help', 'rel'), 'reload');
      t.equal(complete('stop', '--wait', 'st'), 'stopped');
      t.equal(complete('stop', '--wait', 'stopped', 'w'), 'web');
      if (shell !== 'fish') t.equal(complete('--socket', 'x', 'res'), 'restart resume');
    },
  );
}
