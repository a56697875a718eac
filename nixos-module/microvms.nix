# VMs of microvm.nix. One with secrets gets the launcher for its hypervisor package, and its unit what ./vm-unit.nix says. Volumes,
# taps, shares, notify and shutdown stay as they are. microvm.vms is extended, not set: a name that is only here creates no VM.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.vmsecretd;
  # Not microvm.vms, which is declared here, too.
  hasMicrovmNix = options ? microvm.stateDir;
  evaluatedVm = import ./pure/evaluated-vm.nix;

  launcherModule = name: {
    _file = "services.vmsecretd.microvms.${name}";
    imports = [ ./microvm.nix ];
    vmsecretd.microvm = {
      name = lib.mkForce name;
      cloudHypervisor.package = lib.mkDefault cfg.cloudHypervisor.package;
    };
  };

  vmModule =
    { name, ... }:
    {
      options.vmsecretd = mkOption {
        type = types.nullOr types.deferredModule;
        default = null;
        description = "Secrets of this VM: the options of {option}`services.vmsecretd.microvms.NAME`.";
      };
      config = lib.optionalAttrs hasMicrovmNix {
        extraModules = lib.mkIf (cfg.microvms ? ${name}) [ (launcherModule name) ];
      };
    };

  # `guest`: the VM's evaluation; null for a VM that `microvm -c` made, of which only the host's options are known.
  unitOf =
    guest: isolate:
    let
      unit = import ./vm-unit.nix {
        launch = lib.getExe (pkgs.callPackage ./launch.nix { });
        isNotify =
          if guest == null then
            config.microvm.host.useNotifySockets
          else
            guest.config.microvm.declaredRunner.supportsNotifySocket;
        registers = guest != null && !(guest.config.microvm.registerWithMachined or false);
        isQemu = guest != null && guest.config.microvm.hypervisor == "qemu";
        held =
          if guest == null || lib.any (one: one.type == "macvtap") guest.config.microvm.interfaces then
            "${config.microvm.stateDir}/%i/current/bin/microvm-run"
          else
            null;
      };
    in
    {
      # The drop-in that microvm.nix makes of this unit has the same two lines.
      overrideStrategy = "asDropin";
      path = lib.mkForce [ ];
      inherit (unit) requires wants;
      after = unit.after ++ import ./secret-installers.nix;
      serviceConfig =
        unit.serviceConfig
        // lib.optionalAttrs (guest == null) {
          ExecStartPre = [
            "${requireLauncher} %i"
            unit.serviceConfig.ExecStartPre
          ];
        }
        // lib.optionalAttrs isolate (import ./pure/isolation.nix { inherit (config.microvm) stateDir; });
    };

  # What an assertion is for a declared VM: a runner without the launcher would boot the VM without its secrets.
  requireLauncher = pkgs.writeShellScript "vmsecretd-require-launcher" ''
    ${lib.getExe pkgs.gnugrep} -q "vmsecretd-launcher-$1/" ${config.microvm.stateDir}/"$1"/current/bin/microvm-run && exit
    echo "VM $1 has no launcher and would boot without its secrets; import vmsecretd.nixosModules.microvm in the VM, set" \
      "vmsecretd.microvm.name = \"$1\", and update it: microvm -u $1" >&2
    exit 1
  '';

  # A name without a VM is an assertion's.
  declared = lib.filterAttrs (name: _: config.microvm.vms ? ${name}) cfg.microvms;
  # Made by `microvm -c`, so not in microvm.vms, and run by microvm.nix all the same.
  imperative = lib.filterAttrs (
    name: _: cfg.unitNames.${name} or null == "microvm@${name}.service"
  ) cfg.vms;
in
{
  # microvm.nix describes its option itself, and an option has one description. Without microvm.nix this declaration is the only one, and
  # NixOS's manual takes no option without a description.
  options.microvm.vms = mkOption (
    {
      type = types.attrsOf (types.submodule vmModule);
    }
    // lib.optionalAttrs (!hasMicrovmNix) {
      description = "VMs of microvm.nix, which this host does not import.";
    }
  );

  config = {
    services.vmsecretd.microvms = lib.mapAttrs (_: vm: _: { imports = [ vm.vmsecretd ]; }) (
      lib.filterAttrs (_: vm: vm.vmsecretd != null) config.microvm.vms
    );

    systemd.services = lib.mkIf (cfg.enable && hasMicrovmNix) (
      lib.mapAttrs' (name: _: lib.nameValuePair "microvm@${name}" (unitOf null false)) imperative
      // lib.mapAttrs' (
        name: vm:
        lib.nameValuePair "microvm@${name}" (
          unitOf (evaluatedVm name config.microvm.vms.${name}) vm.isolate
        )
      ) declared
    );
  };
}
