# Takes a VM's name, its unit, a shell, vmsecretd-launch, what store-disk-text.nix takes, and the program to become where the launcher
# does not know it, gives the text of the `cloud-hypervisor` or `qemu-system-x86_64` that microvm-run executes.
# It goes on only inside the unit: a microvm-run that is started by hand gets no API socket from systemd.
{
  name,
  unit ? "microvm@${name}.service",
  shell ? "/bin/sh",
  launch ? "vmsecretd-launch",
  cgroupFile ? "/proc/self/cgroup",
  storeDisk ? null,
  program ? null,
}:
let
  quote = text: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";
in
if builtins.match "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}" name == null then
  throw "vmsecretd: '${name}' is no VM name; it takes 1-64 of A-Z a-z 0-9 '_' '.' '-', beginning with a letter or digit"
else
  ''
    #!${shell}
    unit=${quote unit}
    inside=
    while IFS= read -r line; do
      case $line in */"$unit" | */"$unit"/*) inside=yes ;; esac
    done <${quote cgroupFile}
    ${if storeDisk == null then "" else import ./store-disk-text.nix storeDisk}
    [ -z "$inside" ] || exec ${quote launch} ${quote name} -- ${
      if program == null then "" else "${quote program} "
    }"$@"
    echo "vmsecretd: this VM gets its secrets inside its unit only: systemctl start $unit" >&2
    exit 1
  ''
