#!/usr/bin/perl
# Lies about what it is, as the environment says:
#   DEEP=FOLDER     its working directory is below FOLDER, with a path that the kernel does not tell
#   MOVED=FOLDER    its working directory is renamed again and again
#   TAKE=PID,…      its pid, the first to be had that somebody else had (ns_last_pid)
#   AS=UID          its user and group
#   NAME=…          its own name (PR_SET_NAME), which /proc/PID/status shows
#   ARGV=…          its command line: words with | between them, in a place of HUGE bytes if that is set (PR_SET_MM_MAP)
#   ZOMBIE=1        it says the pid of a process that has ended
#   FLIPS=N         it executes another program and itself again, while somebody asks N times with its pid
# Then it asks for VM KNOCK, if there is one, with the pid SAYS or its own; prints the status and the answer, or its pid.
#   LISTEN=PATH     after that it behaves as a VMM there, or BY=child does in its place: another process, in NETNS=1 another
#                   network namespace, which writes to the file CAUGHT what it hears. Booted, it asks again.
#   STORM=FILE      as long as that file is there it knocks for each process in the list PROCS, and prints each new answer
# It stays until its standard input ends.
use strict;
use warnings;
use POSIX ();
use Socket;

my ($PRCTL, $UNSHARE, $MMAP, $READ, $BRK) = (157, 272, 9, 0, 12);
my ($part, $depth) = ('d' x 250, 18);

sub write_file {
  my ($path, $text) = @_;
  open(my $file, '>', $path) or die "$path: $!";
  syswrite($file, $text) or die "$path: $!";
}

# The child that gets a pid of these goes on; this process waits for it, and ends as it does. Another process that lives
# on may have got the first.
sub take_pid {
  for my $pid (@_) {
    for (1 .. 2000) {
      write_file('/proc/sys/kernel/ns_last_pid', $pid - 1);
      my $child = fork() // die "fork: $!";
      if ($child == 0) { return if $$ == $pid; POSIX::_exit(0) }
      waitpid($child, 0);
      exit($? >> 8) if $child == $pid;
    }
  }
  die "pids @_ are not to be had\n";
}

sub show_command_line {
  my ($text, $size) = @_;
  # Anonymous and never written: reading it costs no memory, however much there is.
  my $address = syscall($MMAP, 0, $size, 3, 0x4022, -1, 0);
  die "mmap: $!" if $address == -1;
  pipe(my $from, my $to) or die "pipe: $!";
  syswrite($to, $text);
  syscall($READ, fileno($from), $address, length $text) == length $text or die "read: $!";
  open(my $file, '<', '/proc/self/stat') or die "stat: $!";
  # From the third field on: the name in front of it may have blanks.
  my @stat = split ' ', (<$file> =~ s/.*\) //sr);
  my $field = sub { $stat[$_[0] - 3] };
  my $map = pack('Q12 L l', map({ $field->($_) } 26, 27, 45, 46, 47), syscall($BRK, 0), $field->(28),
    $address, $address + $size, $field->(50), $field->(51), 0, 0, -1);
  syscall($PRCTL, 35, 14, $map, length $map, 0) == 0 or die "PR_SET_MM_MAP: $!";
}

sub knock {
  my ($vm, $pid) = @_;
  socket(my $daemon, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
  connect($daemon, pack_sockaddr_un('/run/vmsecretd/launch.sock')) or die "connect: $!";
  my $body = qq({"pid": $pid});
  syswrite($daemon, "POST /v1/vms/$vm/launch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    . 'Content-Length: ' . length($body) . "\r\nConnection: close\r\n\r\n$body");
  local $/;
  my $answer = <$daemon> // '';
  my ($status) = $answer =~ m{^HTTP/1.1 (\d+)};
  return ($status // 'none') . ' ' . ($answer =~ s/.*?\r\n\r\n//sr =~ s/\n/ /gr) . "\n";
}

# Answers requests as a VMM whose guest boots, one process for each connection.
sub serve {
  my ($server, $booted) = @_;
  $SIG{CHLD} = 'IGNORE';
  while (accept(my $client, $server)) {
    next if fork();
    if (defined $ENV{CAUGHT}) { write_file($ENV{CAUGHT}, "a connection\n") }
    while (sysread($client, my $request, 1 << 20)) {
      my ($size) = $request =~ /^content-length: (\d+)/mi;
      while (defined $size && length($request =~ s/.*?\r\n\r\n//sr) < $size) {
        sysread($client, $request, 1 << 20, length $request) or last;
      }
      my $body = $request =~ /vmm\.ping/ ? '{"build_version":"v53.0.0","version":"53.0.0","pid":1,"features":["kvm"]}' : '';
      syswrite($client, 'HTTP/1.1 ' . ($body ? "200 OK\r\nContent-Length: " . length($body) : '204 No Content') . "\r\n\r\n$body");
      syswrite($booted, "booted\n") if $request =~ /vm\.boot/;
    }
    POSIX::_exit(0);
  }
}

sub listen_on {
  my ($path, $booted) = @_;
  socket(my $server, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
  bind($server, pack_sockaddr_un($path)) or die "$path: $!";
  listen($server, 50) or die "listen: $!";
  return $server;
}

sub storm {
  my ($knocks, %seen) = (0);
  while (-e $ENV{STORM}) {
    open(my $file, '<', $ENV{PROCS}) or next;
    chomp(my @pids = <$file>);
    for my $pid (@pids) { $seen{knock($ENV{KNOCK}, $pid)} += 1; $knocks += 1 }
  }
  print "$knocks knocks\n", keys %seen;
}

if (defined $ENV{DEEP}) {
  chdir $ENV{DEEP} or die "$ENV{DEEP}: $!";
  for (1 .. $depth) { mkdir $part; chdir $part or die "chdir: $!" }
}
my $mover;
if (defined $ENV{MOVED}) {
  my $folder = "$ENV{MOVED}/$$";
  mkdir $folder;
  chdir $folder or die "chdir: $!";
  $mover = fork() // die "fork: $!";
  if ($mover == 0) { while (1) { rename $folder, "$folder.moved"; rename "$folder.moved", $folder } }
}
take_pid(split /,/, $ENV{TAKE}) if defined $ENV{TAKE};
if (defined $ENV{AS}) {
  $) = "$ENV{AS} $ENV{AS}";
  POSIX::setgid($ENV{AS}) and POSIX::setuid($ENV{AS}) or die "setuid: $!";
}
if (defined $ENV{NAME}) {
  my $name = $ENV{NAME} =~ s/\\r/\r/r =~ s/\\t/\t/gr;
  syscall($PRCTL, 15, $name, 0, 0, 0) == 0 or die "PR_SET_NAME: $!";
}
if (defined $ENV{ARGV}) {
  my $text = join('', map { "$_\0" } split /\|/, $ENV{ARGV});
  # syscall() takes a number for one only once it is one.
  show_command_line($text, ($ENV{HUGE} // length $text) + 0);
}
if (defined $ENV{ZOMBIE}) {
  my $child = fork() // die "fork: $!";
  POSIX::_exit(0) if $child == 0;
  # Waits for its end, and leaves it as it is: WEXITED and WNOWAIT.
  syscall(247, 1, $child, 0, 0x01000004, 0) == 0 or die "waitid: $!";
  $ENV{SAYS} = $child;
}
$| = 1;
if (defined $ENV{FLIPS}) {
  my ($own, $asks) = ($$, delete $ENV{FLIPS});
  if (fork() == 0) { print knock($ENV{KNOCK}, $own) for 1 .. $asks; kill 'KILL', $own; POSIX::_exit(0) }
  $ENV{FLIPPER} = 1;
}
if (defined $ENV{FLIPPER}) {
  my $launcher = '/opt/lies/vmsecretd-launch';
  exec('perl', $0 eq $launcher ? '/opt/lies/imposter.pl' : $launcher, $ENV{KNOCK});
}
if (defined $ENV{STORM}) { storm(); exit 0 }
print defined $ENV{KNOCK} ? knock($ENV{KNOCK}, $ENV{SAYS} // $$) : "$$\n";
kill 'KILL', $mover if defined $mover;
if (defined $ENV{LISTEN}) {
  pipe(my $heard, my $booted) or die "pipe: $!";
  my $server = defined $ENV{BY} ? undef : listen_on($ENV{LISTEN});
  if (fork() == 0) {
    if (defined $ENV{NETNS}) { syscall($UNSHARE, 0x40000000) == 0 or die "unshare: $!" }
    serve($server // listen_on($ENV{LISTEN}), $booted);
  }
  close $booted;
  <$heard>;
  # The daemon takes it for booted a moment after it was told.
  my $again;
  for (1 .. 500) { $again = knock($ENV{KNOCK}, $$); last if $again !~ /^200 /; select(undef, undef, undef, 0.01) }
  print $again;
  exit 0;
}
1 while <STDIN>;
# Most programs cannot remove what is so deep.
if (defined $ENV{DEEP}) { for (1 .. $depth) { chdir '..'; rmdir $part } }
