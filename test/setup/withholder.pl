#!/usr/bin/perl
# COUNT processes that withhold their command lines, in FOLDER: each replaces its mapping of a file that it has
# changed (mmap, MAP_FIXED), so that the kernel waits, with the process's memory locked, until the file's FUSE server has
# taken the change. It never does. Anybody may do that on most hosts. Prints their pids; all ends with its standard input.
#   LOG=FILE  each is in a session of its own, with the file as its output
use strict;
use warnings;
use POSIX ();

my ($UNSHARE, $MOUNT, $MMAP, $READ) = (272, 165, 9, 0);
my $NEW_USER_AND_MOUNTS = 0x10020000;

sub write_file {
  my ($path, $text) = @_;
  open(my $file, '>', $path) or die "$path: $!";
  syswrite($file, $text) or die "$path: $!";
}

my ($folder, $count) = @ENV{'FOLDER', 'COUNT'};
my ($uid, $gid) = (POSIX::getuid(), POSIX::getgid());
syscall($UNSHARE, $NEW_USER_AND_MOUNTS) == 0 or die "unshare: $!";
write_file('/proc/self/setgroups', 'deny');
write_file('/proc/self/uid_map', "0 $uid 1");
write_file('/proc/self/gid_map', "0 $gid 1");
open(my $fuse, '+<', '/dev/fuse') or die "/dev/fuse: $!";
my $options = 'fd=' . fileno($fuse) . ',rootmode=40000,user_id=0,group_id=0';
# syscall() takes no constants for texts.
my ($kind, $place) = ('fuse', "$folder");
syscall($MOUNT, $kind, $place, $kind, 0, $options) == 0 or die "mount: $!";

# /usr/include/linux/fuse.h: struct fuse_attr, fuse_out_header.
sub attributes {
  my ($id) = @_;
  my ($size, $mode) = $id == 1 ? (0, 040777) : (4096, 0100666);
  return pack('Q6 L10', $id, $size, 0, 0, 0, 0, 0, 0, 0, $mode, 1, 0, 0, 0, 4096, 0);
}

sub serve {
  while (sysread($fuse, my $request, 1 << 20)) {
    my ($size, $verb, $unique, $id) = unpack('L L Q Q', $request);
    my $body = substr($request, 40);
    my $answer = {
      26 => sub { pack('L4 S2 L2 x36', 7, 31, 65536, 0, 16, 12, 65536, 1) },  # INIT
      1 => sub { my $file = 2 + unpack('Z*', $body); pack('Q4 L2', $file, 0, 99, 99, 0, 0) . attributes($file) },  # LOOKUP
      3 => sub { pack('Q L2', 99, 0, 0) . attributes($id) },  # GETATTR
      14 => sub { pack('Q L2', 1, 0, 0) },  # OPEN
      15 => sub { "\0" x (unpack('Q Q L', $body))[2] },  # READ
    }->{$verb};
    next if $verb == 16 || $verb == 2 || $verb == 42;  # WRITE, and what wants no answer
    my $said = defined $answer ? $answer->() : '';
    syswrite($fuse, pack('L l Q', 16 + length $said, defined $answer ? 0 : -38, $unique) . $said);
  }
  POSIX::_exit(0);
}

my @pids;
# The server's end, and with it that of the whole file system, is the end of standard input.
my $server = fork() // die "fork: $!";
serve() if $server == 0;
for my $number (1 .. $count) {
  pipe(my $told, my $tell) or die "pipe: $!";
  my $pid = fork() // die "fork: $!";
  if ($pid == 0) {
    close $fuse;
    if (defined $ENV{LOG}) {
      POSIX::setsid();
      open(STDOUT, '>>', $ENV{LOG}) or die "$ENV{LOG}: $!";
    }
    open(my $file, '+<', "$folder/$number") or die "$folder/$number: $!";
    my $address = syscall($MMAP, 0, 4096, 3, 1, fileno($file), 0);
    die "mmap: $!" if $address == -1;
    pipe(my $from, my $to) or die "pipe: $!";
    syswrite($to, 'changed');
    syscall($READ, fileno($from), $address, 7) == 7 or die "read: $!";
    syswrite($tell, "\n");
    syscall($MMAP, $address, 4096, 3, 0x32, -1, 0);
    POSIX::_exit(0);
  }
  close $tell;
  sysread($told, my $line, 1) or die "a process ended\n";
  push @pids, $pid;
}
close $fuse;
$| = 1;
# The last system call of each comes a moment after it has said so.
select(undef, undef, undef, 0.2);
print "@pids\n";
1 while <STDIN>;
kill 'KILL', $server, @pids;
