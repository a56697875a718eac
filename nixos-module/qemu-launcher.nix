# The `microvm.qemu.package` of a VM with secrets: its QEMU asks the daemon, then becomes the real one, which its command line names.
# microvm.nix overrides the package that it is given, and reads how it was configured: both go through to the real one.
{
  name,
  unit ? "microvm@${name}.service",
  pkgs,
  qemu ? pkgs.qemu_kvm,
}:
let
  launcherOf =
    qemu:
    pkgs.runCommand "vmsecretd-launcher-${name}"
      {
        text = import ./pure/launcher-text.nix {
          inherit name unit;
          shell = pkgs.runtimeShell;
          launch = "${pkgs.callPackage ./launch.nix { }}/bin/vmsecretd-launch";
          program = "${qemu}/bin/qemu-system-x86_64";
        };
        passAsFile = [ "text" ];
        preferLocalBuild = true;
        passthru.launcherFor = name;
        meta.mainProgram = "qemu-system-x86_64";
      }
      ''
        mkdir -p $out/bin
        install -m 0755 "$textPath" $out/bin/qemu-system-x86_64
      ''
    // {
      configureFlags = qemu.configureFlags or [ ];
      override = arguments: launcherOf (qemu.override arguments);
      overrideAttrs = change: launcherOf (qemu.overrideAttrs change);
    };
in
launcherOf qemu
