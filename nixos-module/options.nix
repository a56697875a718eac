# The options of services.vmsecretd. A definition and the settings are the daemon's own JSON: an option is here for a key that the
# module itself reads or whose value needs care in Nix. The daemon's schema is the only list of keys; it is applied at build time.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib)
    literalExpression
    literalMD
    mkOption
    types
    ;
  cfg = config.services.vmsecretd;
  json = (pkgs.formats.json { }).type;

  credentials = mkOption {
    type = types.attrsOf (import ./credential-type.nix { inherit lib pkgs; });
    default = { };
    example = literalExpression "{ API_KEY.age = ./api-key.age; }";
    description = "Credential name → where its value comes from: an age file, a path on the host (`\"/run/secrets/api-key\"`), or one of the options below.";
  };

  definitionType = types.submodule {
    freeformType = json;
    options = {
      inherit credentials;
      autostart = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the VM starts with the host.";
      };
      supervisor = mkOption {
        type = types.nullOr (
          types.enum [
            "daemon"
            "unit"
          ]
        );
        default = null;
        defaultText = literalMD "`\"unit\"`; `\"daemon\"` for delivery `\"cmdline\"`";
        description = "Who runs the VMM: a systemd unit, or the daemon.";
      };
      unit = mkOption {
        type = types.nullOr types.str;
        default = null;
        defaultText = literalMD "{file}`microvm@NAME.service`; {file}`vmsecretd-vm@NAME.service` for a VM with its own `command` on a host with microvm.nix";
        description = "The systemd unit of the VM.";
      };
    };
  };

  microvmType = types.submodule {
    freeformType = json;
    options = {
      inherit credentials;
      isolate = mkOption {
        type = types.bool;
        default = cfg.isolate;
        defaultText = literalExpression "config.services.vmsecretd.isolate";
        description = "Whether this VM's unit sees only its own folder of {option}`microvm.stateDir`.";
      };
    };
  };

  settingsType = types.submodule {
    freeformType = json;
    options = {
      hypervisors.cloud-hypervisor.path = mkOption {
        type = types.path;
        default = lib.getExe' cfg.cloudHypervisor.package "cloud-hypervisor";
        defaultText = literalMD "the program of {option}`services.vmsecretd.cloudHypervisor.package`";
        description = "The cloud-hypervisor program that VMs run on.";
      };
      log.level = mkOption {
        type = types.str;
        default = "info";
        description = "The least severe messages that are logged.";
      };
      metrics.listen = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "127.0.0.1:9420";
        description = "A loopback address or the path of a socket that serves metrics; the daemon's sandbox opens for an address.";
      };
      operatorGroup = mkOption {
        type = types.str;
        default = "vmsecretd";
        description = "The group that may list, start and stop VMs.";
      };
    };
  };
in
{
  options.services.vmsecretd = {
    enable = lib.mkEnableOption "vmsecretd, which starts VMs with their age secrets";

    # For nixpkgs: lib.mkPackageOption pkgs "vmsecretd" { }.
    package = lib.mkPackageOption {
      vmsecretd = pkgs.vmsecretd or (pkgs.callPackage ./package.nix { });
    } "vmsecretd" { };

    cloudHypervisor.package = lib.mkPackageOption pkgs "cloud-hypervisor" {
      extraDescription = "VMs with secrets run on it; its {command}`ch-remote` goes into their runners, too.";
    };

    agePlugins = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression "[ pkgs.age-plugin-tpm ]";
      description = "Plugins for identities that need one.";
    };

    settings = mkOption {
      type = settingsType;
      default = { };
      example = {
        log.level = "debug";
        metrics.listen = "127.0.0.1:9420";
      };
      description = "The daemon's {file}`config.json`. Any key of docs/configuration.md may be set; the build refuses unknown ones.";
    };

    identityPaths = mkOption {
      type = types.listOf types.path;
      default =
        (
          if options ? age.identityPaths then
            config.age.identityPaths
          else
            lib.optionals (config.services.openssh.enable or false) (
              map (key: key.path) (
                lib.filter (key: key.type == "rsa" || key.type == "ed25519") config.services.openssh.hostKeys
              )
            )
        )
        ++ lib.optional (
          options ? sops.age.keyFile && config.sops.age.keyFile != null
        ) config.sops.age.keyFile;
      defaultText = literalMD "{option}`age.identityPaths` with agenix, else the host keys of {option}`services.openssh` of type rsa and ed25519; and {option}`sops.age.keyFile` with sops-nix or clan";
      description = "Private keys of the running host that open age and sops files: SSH host keys or age identities.";
    };

    operators = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = "Users who may list, start and stop VMs. They cannot define any: that takes root.";
    };

    vms = mkOption {
      type = types.attrsOf definitionType;
      default = { };
      description = "VMs that microvm.nix does not run; each becomes {file}`/etc/vmsecretd/vms/NAME.json`. Any key of docs/definitions.md may be set; the build refuses unknown ones.";
    };

    microvms = mkOption {
      type = types.attrsOf microvmType;
      default = { };
      example = literalExpression "{ my-app.credentials.API_KEY.age = ./api-key.age; }";
      description = "What VMs of microvm.nix get from vmsecretd; the names are those of {option}`microvm.vms`. The keys of docs/definitions.md that microvm.nix does not decide may be set. {option}`microvm.vms.NAME.vmsecretd` is the same, beside the VM.";
    };

    isolate = mkOption {
      type = types.bool;
      default = false;
      description = "Default of {option}`services.vmsecretd.microvms.NAME.isolate`. microvm.nix runs all VMs as one user: without this, a compromised VMM reaches the files and sockets of the others.";
    };

    definitions = mkOption {
      type = types.attrsOf json;
      internal = true;
      readOnly = true;
      description = "The content of every definition file, by VM.";
    };
  };
}
