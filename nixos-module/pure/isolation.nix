# Settings with which a microvm@NAME unit sees of microvm.nix's state and of vmsecretd's sockets only its own. All VMMs run as one
# user; a user namespace each keeps them out of each other's /proc/PID/root and memory. docs/nixos.md says what stays open.
{ stateDir }:
{
  TemporaryFileSystem = [
    "${stateDir}:ro"
    # Not all of /run/vmsecretd: systemd hides it from ExecStartPre=+, too, which asks the daemon.
    "/run/vmsecretd/vms:ro"
    "/run/vmsecretd/api:ro"
    "/run/vmsecretd/fifos:ro"
    "/run/vmsecretd/reports:ro"
  ];
  BindPaths = [
    "${stateDir}/%i"
    "/run/vmsecretd/vms/%i"
  ];
  BindReadOnlyPaths = [
    "/run/vmsecretd/api/%i.sock"
    "-/run/vmsecretd/fifos/%i"
    "-/run/vmsecretd/reports/%i"
  ];
  PrivateUsers = true;
}
