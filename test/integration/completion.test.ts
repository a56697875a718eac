// The completion scripts, sourced by the shells that are here, with VM names of a real daemon.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNotOnPath } from '../setup/programs.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('bash completes commands, options and names of VMs', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const { status, stdout: script } = await daemon.ctl('completion', 'bash');
  t.equal(status, 0);
  const programs = join(daemon.folder, 'programs');
  mkdirSync(programs);
  writeFileSync(
    join(programs, 'vmsecretctl'),
    `#!/bin/sh\nexec '${process.execPath}' '${process.cwd()}/dist/src/cli/vmsecretctl.js' "$@"\n`,
  );
  chmodSync(join(programs, 'vmsecretctl'), 0o755);
  const complete = (...words: string[]) => {
    const typed = ['vmsecretctl', ...words].map(word => `'${word}'`).join(' ');
    const probe = `COMP_WORDS=(${typed}); COMP_CWORD=${words.length}; _vmsecretctl; echo "\${COMPREPLY[*]}"`;
    return spawnSync('bash', ['-c', `${script}\n${probe}`], {
      encoding: 'utf8',
      env: { PATH: `${programs}:${process.env.PATH}`, VMSECRETD_SOCKET: daemon.socket('admin') },
    }).stdout.trim();
  };
  t.equal(complete('res'), 'restart resume');
  t.equal(complete('restart', '--o'), '--outdated');
  t.equal(complete('start', 'w'), 'web');
  t.equal(complete('reload', 'w'), '');
});

for (const shell of ['zsh', 'fish']) {
  const skip = whyNotOnPath(shell);
  daemonTest(`${shell} takes its completion script`, { ...options, skip }, async (t, { daemon }) => {
    const { stdout: script } = await daemon.ctl('completion', shell);
    t.equal(spawnSync(shell, ['-n'], { input: script }).status, 0);
  });
}
