# For a VM's own evaluation (a flake's nixosConfigurations.NAME, evaluatedConfig): gives it the launcher, as the host module does for
# VMs that are declared whole on the host.
{
  config,
  lib,
  ...
}:
let
  cfg = config.vmsecretd.microvm;
  pkgs = config.microvm.vmHostPackages;
in
{
  options.vmsecretd.microvm = {
    name = lib.mkOption {
      type = lib.types.str;
      default = config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      description = "The VM's name on the host: NAME of its microvm@NAME.service.";
    };
    cloudHypervisor.package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.cloud-hypervisor;
      defaultText = lib.literalExpression "config.microvm.vmHostPackages.cloud-hypervisor";
      description = "The cloud-hypervisor whose ch-remote and version the runner uses. The host's vmsecretd has its own path.";
    };
  };

  config.microvm = {
    hypervisor = lib.mkDefault "cloud-hypervisor";
    cloud-hypervisor.package = import ./launcher.nix {
      inherit (cfg) name;
      inherit pkgs;
      cloud-hypervisor = cfg.cloudHypervisor.package;
    };
  };
}
