# Inside a VM of microvm.nix: gives it the launcher. The host's module imports it into the VMs that it declares; a VM that brings its
# own evaluation (a flake's nixosConfigurations.NAME, evaluatedConfig) imports it itself.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.vmsecretd.microvm;
  pkgs = config.microvm.vmHostPackages;
in
{
  # Imported by the host and by the VM it is one module.
  key = "vmsecretd.nixosModules.microvm";

  options.vmsecretd.microvm = {
    name = lib.mkOption {
      type = lib.types.str;
      default = config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      description = "The VM's name on the host: NAME of its {file}`microvm@NAME.service`.";
    };
    cloudHypervisor.package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.cloud-hypervisor;
      defaultText = lib.literalExpression "config.microvm.vmHostPackages.cloud-hypervisor";
      description = "The cloud-hypervisor that this VM runs on, with its {command}`ch-remote`. For a VM that `microvm -c` made, set {option}`services.vmsecretd.vms.NAME.program` on the host, too.";
    };
    qemu.package = lib.mkOption {
      type = lib.types.package;
      default = options.microvm.qemu.package.default;
      defaultText = lib.literalMD "as of {option}`microvm.qemu.package`";
      description = "The QEMU that this VM runs on, where {option}`microvm.hypervisor` is `\"qemu\"`.";
    };
    storeDiskImageType = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "raw";
      description = "Adds `image_type=` to the disk of {option}`microvm.storeOnDisk`, and to no other: cloud-hypervisor from 54 on boots no disk without. Both of microvm.nix's formats, erofs and squashfs, are `raw`.";
    };
  };

  config.microvm = {
    hypervisor = lib.mkDefault "cloud-hypervisor";
    qemu = lib.mkIf (config.microvm.hypervisor == "qemu") {
      # microvm.nix's own default, "microvm", has no SMBIOS. It is a mkDefault.
      machine = lib.mkOverride 900 "q35";
      package = lib.mkDefault (
        import ./qemu-launcher.nix {
          inherit (cfg) name;
          inherit pkgs;
          qemu = cfg.qemu.package;
        }
      );
    };
    # Where the VM sets a package of its own, the host's assertion says what to do instead.
    cloud-hypervisor.package = lib.mkDefault (
      import ./launcher.nix {
        inherit (cfg) name;
        inherit pkgs;
        cloud-hypervisor = cfg.cloudHypervisor.package;
        storeDisk =
          if cfg.storeDiskImageType == null then
            null
          else
            {
              path = toString config.microvm.storeDisk;
              imageType = cfg.storeDiskImageType;
            };
      }
    );
  };
}
