# The `microvm.cloud-hypervisor.package` of a VM with secrets: its cloud-hypervisor asks the daemon, then becomes the real one.
# ch-remote and the version are the real one's, since microvm.nix uses both.
{
  name,
  unit ? "microvm@${name}.service",
  pkgs,
  cloud-hypervisor ? pkgs.cloud-hypervisor,
  storeDisk ? null,
}:
let
  text = import ./pure/launcher-text.nix {
    inherit name unit storeDisk;
    shell = pkgs.runtimeShell;
    launch = "${pkgs.callPackage ./launch.nix { }}/bin/vmsecretd-launch";
  };
in
pkgs.runCommand "vmsecretd-launcher-${name}"
  {
    inherit (cloud-hypervisor) version;
    inherit text;
    passAsFile = [ "text" ];
    preferLocalBuild = true;
    passthru.launcherFor = name;
    meta.mainProgram = "cloud-hypervisor";
  }
  ''
    mkdir -p $out/bin
    install -m 0755 "$textPath" $out/bin/cloud-hypervisor
    ln -s ${cloud-hypervisor}/bin/ch-remote $out/bin/ch-remote
  ''
