# vmsecretd-launch of systemd/, with its shell and programs by store path. A package of its own, because runners of VMs refer to it:
# a new vmsecretd then changes no VM's runner.
{
  coreutils,
  curl,
  lib,
  runCommand,
  runtimeShell,
}:
runCommand "vmsecretd-launch" { meta.mainProgram = "vmsecretd-launch"; } ''
  mkdir -p $out/bin
  {
    echo '#!${runtimeShell}'
    echo 'PATH=${
      lib.makeBinPath [
        coreutils
        curl
      ]
    }:/run/current-system/sw/bin' # systemd's own, of the host
    tail -n +2 ${../systemd/vmsecretd-launch}
  } >$out/bin/vmsecretd-launch
  chmod +x $out/bin/vmsecretd-launch
''
