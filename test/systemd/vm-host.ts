// A booted Debian with vmsecretd installed as people install it, one secret, and test guests: a host for VMs under systemd.
// The VMM is the real cloud-hypervisor where it is on PATH and /dev/kvm is there, the stand-in otherwise.

import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Test } from 'tap';
import { type AfterPrinting, buildPvhGuest } from '../guests/pvh/pvh-guest.js';
import { whyNoKvm } from '../setup/programs.js';
import {
  bootDebian,
  type DebianSystem,
  type DebianSystemOptions,
  whyNoDebianSystem,
} from './debian-system.js';

export const SECRET = 'S3CR3T-canary-of-test-systemd';
/** What a guest that got the secret prints. */
export const PRINTED_SECRET = `io.systemd.credential.binary:API_KEY=${Buffer.from(SECRET).toString('base64')}`;

export interface VmHost extends DebianSystem {
  /** Runs a script with the functions of PRELUDE; gives what it printed, trimmed; throws unless it ends with 0. */
  sh(script: string, options?: { deadlineMs?: number }): Promise<string>;
  /** What is in it is in /opt/guests inside. */
  folder: string;
}

const GUESTS: readonly AfterPrinting[] = ['stay', 'await-power-button'];
// node by a name that says what it stands for, in /proc as in ps; without its compiler, which writes code and then runs
// it: microvm@.service forbids that (MemoryDenyWriteExecute=).
const STAND_IN = `#!/bin/sh
[ "$1" != --version ] || { echo 'cloud-hypervisor v53.0.0'; exit; }
exec /opt/cloud-hypervisor-stand-in --jitless /project/dist/test/stand-ins/cloud-hypervisor.js cloud-hypervisor "$@"
`;

export function findRealHypervisor(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const real = folders.map(folder => join(folder, 'cloud-hypervisor')).find(existsSync);
  return whyNoKvm() === false ? real : undefined;
}

export function whyNoVmHost(): string | false {
  return whyNoDebianSystem();
}

// POSIX shell functions for the scripts of tests.
const PRELUDE = `
set -u
# For a moment the API socket can still activate the unit that is stopped, and systemctl may warn of it.
systemctl() {
  case $1 in
    stop) shift; command systemctl stop --quiet "$@" ;;
    *) command systemctl "$@" ;;
  esac
}
# eventually COMMAND [SECONDS]: until it succeeds, for as long by the clock, and then everything that tells why not.
eventually() {
  deadline=$(($(date +%s) + \${2-30}))
  until eval "$1"; do
    [ "$(date +%s)" -lt "$deadline" ] || { echo "never: $1"; diagnose; exit 99; }
    sleep 0.1
  done
}
diagnose() {
  timeout 10 vmsecretctl list
  systemctl status --no-pager --full --lines 0 vmsecretd 'vmsecretd*.socket' 'microvm@*'
  journalctl --no-pager --output short-precise --lines 150 --unit vmsecretd --unit 'microvm@*'
  tail -n +1 /run/vmsecretd/records/*
  ps -eo pid,ppid,user,lstart,stat,args
}
unit() { systemctl show --property "$2" --value "microvm@$1"; }
vm_state() { vmsecretctl list | while read -r name state rest; do [ "$name" != "$1" ] || echo "$state"; done; }
# What systemd and vmsecretd say of a VM. The daemon gathers for 100 ms what it reads of units.
states() { sleep 0.5; echo "$(unit "$1" ActiveState) $(vm_state "$1")"; }
vmm_count() { ls -l /proc/[0-9]*/exe 2> /dev/null | grep -c cloud-hypervisor || true; }
launcher_lines() { console "$1" | grep "vmsecretd-launch: .*$2"; }
console() { journalctl --unit "microvm@$1" --output cat --no-pager; }
# define NAME GUEST [MORE ARGUMENTS AS JSON]
define() {
  mkdir -p /etc/vmsecretd/vms
  cat > "/etc/vmsecretd/vms/$1.json" << DEFINITION
{
  "command": ["--kernel", "/opt/guests/$2", "--memory", "size=64M", "--serial", "tty", "--console", "off"\${3-}],
  "credentials": { "API_KEY": { "age": "/etc/secrets/api-key.age" } }
}
DEFINITION
}
`;

/** After an installation: a secret, and devices that the group kvm of the host's numbers may not reach. */
export const MAKE_SECRET = `
set -e
chmod 666 /dev/kvm /dev/net/tun 2> /dev/null || true
mkdir -p /etc/secrets
age-keygen --output /etc/vmsecretd/identity 2> /tmp/public
printf '%s' '${SECRET}' | age --recipient "$(sed 's/.*: //' /tmp/public)" --output /etc/secrets/api-key.age
echo '{"identities": ["/etc/vmsecretd/identity"]}' > /etc/vmsecretd/config.json
`;
const INSTALL = `
set -e
/project/systemd/install.sh
${MAKE_SECRET}`;

/** Why the real program cannot run here, for what no stand-in does; false when it can. */
export function whyNoRealVmHost(): string | false {
  return (
    whyNoVmHost() || (findRealHypervisor() === undefined && 'needs cloud-hypervisor on PATH and /dev/kvm')
  );
}

/** Binds for bootDebian: cloud-hypervisor, or the stand-in, which is written into the folder. */
export function bindHypervisor(folder: string): Record<string, string> {
  const real = findRealHypervisor();
  if (real !== undefined) {
    const remote = join(dirname(real), 'ch-remote');
    return {
      '/usr/bin/cloud-hypervisor': real,
      ...(existsSync(remote) ? { '/usr/bin/ch-remote': remote } : {}),
    };
  }
  const standIn = join(folder, 'cloud-hypervisor');
  writeFileSync(standIn, STAND_IN, { mode: 0o755 });
  return { '/usr/bin/cloud-hypervisor': standIn, '/opt/cloud-hypervisor-stand-in': process.execPath };
}

/**
 * Ends with the test.
 * @param binds path inside to path on the host, read-only
 * @param install a script; vmsecretd and the secret unless given
 * @param debian another release of Debian, which has nothing of the project
 */
export async function bootVmHost(
  t: Pick<Test, 'teardown'>,
  binds: Readonly<Record<string, string>> = {},
  install = INSTALL,
  debian: Omit<DebianSystemOptions, 'binds'> = {},
): Promise<VmHost> {
  const guests = mkdtempSync(join(tmpdir(), 'vmsecretd-guests-'));
  t.teardown(() => rmSync(guests, { recursive: true, force: true }));
  // The VMM's user reads them.
  chmodSync(guests, 0o755);
  for (const after of GUESTS) writeFileSync(join(guests, after), buildPvhGuest({ after }));
  // No kernel, so that the real program refuses vm.boot; the stand-in does at the file's name.
  writeFileSync(join(guests, 'refuses-boot'), 'no kernel\n');
  const system = await bootDebian({
    ...debian,
    binds: { '/opt/guests': guests, ...bindHypervisor(guests), ...binds },
  });
  t.teardown(() => system.close());
  const sh: VmHost['sh'] = async (script, options) => {
    const { status, output } = await system.run(PRELUDE + script, options);
    if (status !== 0) throw new Error(`exit status ${status} of\n${script}\nwhich printed\n${output}`);
    return output.trim();
  };
  await sh(install, { deadlineMs: 600_000 });
  return { ...system, sh, folder: guests };
}
