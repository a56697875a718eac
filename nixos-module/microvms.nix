# microvm.nix as it is: each VM of services.vmsecretd.microvms gets the launcher for its hypervisor package, and its unit what
# ./pure/microvm-unit.nix says. Volumes, taps, shares, notify and shutdown stay as they are.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  cfg = config.services.vmsecretd;
  unit = import ./pure/microvm-unit.nix (builtins.readFile (../systemd + "/microvm@.service"));

  launcherModule = name: {
    _file = "services.vmsecretd.microvms.${name}";
    microvm.cloud-hypervisor.package = import ./launcher.nix {
      inherit name pkgs;
      cloud-hypervisor = cfg.cloudHypervisor.package;
    };
  };

  unitOf = name: microvm: {
    # The drop-in that microvm.nix makes of this unit has the same two lines.
    overrideStrategy = "asDropin";
    path = lib.mkForce [ ];
    inherit (unit) after wants;
    serviceConfig =
      unit.serviceConfig
      // lib.optionalAttrs microvm.isolate (
        import ./pure/isolation.nix { inherit (config.microvm) stateDir; }
      );
  };
in
{
  config = lib.mkIf cfg.enable (
    lib.optionalAttrs (options ? microvm.vms) {
      microvm.vms = lib.mapAttrs (name: _: { extraModules = [ (launcherModule name) ]; }) cfg.microvms;

      systemd.services = lib.mapAttrs' (
        name: microvm: lib.nameValuePair "microvm@${name}" (unitOf name microvm)
      ) cfg.microvms;
    }
  );
}
