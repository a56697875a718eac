// An automount as systemd's and autofs' own are: what is mounted there comes when somebody goes in, from a process that answers the kernel.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { whyNotOnPath, whyNotRoot } from '../setup/programs.js';

export function whyNoAutomount(): string | false {
  const isKnown = readFileSync('/proc/filesystems', 'utf8').includes('\tautofs\n');
  return whyNotRoot() || whyNotOnPath('perl') || (!isKnown && 'the kernel has no autofs');
}

// autofs(5) of the kernel: a packet's third word is its token; 0x9360 is AUTOFS_IOC_READY. Once this has ended, nothing waits.
const ANSWER = `
$^F = 255;
pipe(my $asked, my $ask);
my ($folder, $prepare) = @ARGV;
my $options = 'minproto=5,maxproto=5,direct,pgrp=' . getpgrp() . ',fd=' . fileno($ask);
system('mount', '-t', 'autofs', '-o', $options, 'automount', $folder) == 0 or exit 1;
close($ask);
sysopen(my $place, $folder, 0) or exit 1;
syswrite(STDOUT, "waits\\n");
alarm 60;
sysread($asked, my $packet, 4096) or exit 1;
my (undef, undef, $token) = unpack('iiI', $packet);
system('sh', '-c', $prepare, 'sh', $folder) == 0 or exit 1;
ioctl($place, 0x9360, $token);
syswrite(STDOUT, "mounted\\n");
sleep 60;
`;

/** @param prepare a shell script that mounts and fills the folder $1 once it is gone into: until it has ended, who goes in waits */
export async function automount(t: Test, folder: string, prepare: string): Promise<void> {
  mkdirSync(folder);
  // The kernel lets the process group of the one who answers go in.
  const child = spawn('perl', ['-e', ANSWER, folder, prepare], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    const ended = once(child, 'exit');
    if (child.exitCode === null && child.pid !== undefined) {
      process.kill(-child.pid, 'SIGKILL');
      await ended;
    }
    // What was mounted, and the automount below it.
    execFileSync('sh', ['-c', 'while umount --lazy "$1" 2> /dev/null; do :; done', 'sh', folder]);
  });
  await once(child.stdout, 'data');
}
