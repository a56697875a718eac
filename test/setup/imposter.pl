#!/usr/bin/perl
# Lies about what it is, as the environment says, and prints its pid:
#   AS=UID     its user and group
#   NAME=…     its own name (PR_SET_NAME), which /proc/PID/status shows
#   ARGV=…     its command line: words with | between them, in a place of HUGE bytes if that is set (PR_SET_MM_MAP)
# It stays until its standard input ends.
use strict;
use warnings;
use POSIX ();

my ($PRCTL, $MMAP, $READ, $BRK) = (157, 9, 0, 12);

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
$| = 1;
print "$$\n";
1 while <STDIN>;
