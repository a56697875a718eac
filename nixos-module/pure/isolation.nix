# Settings with which a microvm@NAME unit sees of microvm.nix's state and of vmsecretd's sockets only its own. All VMMs run as one
# user; a user namespace each keeps them out of each other's /proc/PID/root and memory. docs/nixos.md says what stays open.
{ stateDir }:
{
  TemporaryFileSystem = [
    "${stateDir}:ro"
    "/run/vmsecretd:ro"
  ];
  BindPaths = [
    "${stateDir}/%i"
    "/run/vmsecretd/vms/%i"
  ];
  BindReadOnlyPaths = [ "/run/vmsecretd/launch.sock" ];
  PrivateUsers = true;
}
