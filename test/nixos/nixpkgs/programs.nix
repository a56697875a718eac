# The programs of each package, by nixpkgs' names. Not all that they have, but none that they have not.
{
  bash = [
    "bash"
    "sh"
  ];
  coreutils = [
    "basename"
    "cat"
    "chgrp"
    "chmod"
    "chown"
    "cp"
    "cut"
    "date"
    "dirname"
    "env"
    "head"
    "id"
    "install"
    "kill"
    "ln"
    "ls"
    "mkdir"
    "mkfifo"
    "mv"
    "readlink"
    "rm"
    "sleep"
    "sort"
    "stat"
    "tail"
    "test"
    "touch"
    "tr"
    "truncate"
    "wc"
  ];
  coreutils-full = [ "chown" ];
  age = [ "age" ];
  age-plugin-tpm = [ "age-plugin-tpm" ];
  cacert = [ ];
  crosvm = [ "crosvm" ];
  curl = [ "curl" ];
  diffutils = [
    "cmp"
    "diff"
  ];
  expect = [ "expect" ];
  findutils = [
    "find"
    "xargs"
  ];
  getent = [ "getent" ];
  git = [ "git" ];
  gnugrep = [ "grep" ];
  gnused = [ "sed" ];
  iproute2 = [ "ip" ];
  jq = [ "jq" ];
  k3s = [ "k3s" ];
  kmod = [ "modprobe" ];
  kubectl = [ "kubectl" ];
  netcat = [ "nc" ];
  nix = [ "nix" ];
  nixfmt-tree = [ ];
  nodejs = [ "node" ];
  openssh = [ "ssh" ];
  prefetch-npm-deps = [ ];
  qemu-utils = [ ];
  socat = [ "socat" ];
  systemd = [
    "busctl"
    "journalctl"
    "systemctl"
    "systemd-notify"
    "systemd-run"
    "systemd-tmpfiles"
  ];
  util-linux = [
    "fallocate"
    "flock"
    "logger"
    "mount"
    "nsenter"
    "prlimit"
    "setpriv"
    "umount"
  ];
  virtiofsd = [ "virtiofsd" ];
}
