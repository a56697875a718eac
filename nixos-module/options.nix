# The options of services.vmsecretd.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  definition = import ./definition-options.nix { inherit lib; };
  cfg = config.services.vmsecretd;

  isolate = mkOption {
    type = types.bool;
    default = cfg.isolate;
    defaultText = literalExpression "config.services.vmsecretd.isolate";
    description = "Whether this VM's unit sees only its own folder of microvm.stateDir.";
  };
in
{
  options.services.vmsecretd = {
    enable = lib.mkEnableOption "vmsecretd, which starts VMs with their age secrets";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "vmsecretd.packages.x86_64-linux.vmsecretd, of the host's nixpkgs";
      description = "The vmsecretd package.";
    };

    cloudHypervisor.package = mkOption {
      type = types.package;
      default = pkgs.cloud-hypervisor;
      defaultText = literalExpression "pkgs.cloud-hypervisor";
      description = "The cloud-hypervisor that VMs with secrets run on; its ch-remote goes into their runners too.";
    };

    agePlugins = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression "[ pkgs.age-plugin-tpm ]";
      description = "Plugins for identities that need one.";
    };

    settings = mkOption {
      type = (pkgs.formats.json { }).type;
      default = { };
      example = {
        log.level = "debug";
        metrics.listen = "127.0.0.1:9420";
      };
      description = "config.json of the daemon, key by key; docs/configuration.md lists them. The daemon refuses unknown ones.";
    };

    identityPaths = mkOption {
      type = types.listOf types.path;
      default = lib.optionals (config.services.openssh.enable or false) (
        map (key: key.path) (
          lib.filter (key: key.type == "rsa" || key.type == "ed25519") config.services.openssh.hostKeys
        )
      );
      defaultText = literalExpression "the host keys of services.openssh of type rsa and ed25519, as in agenix";
      description = "Private keys of the running host that open age files: SSH host keys or age identities.";
    };

    operators = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = "Users who may list, start and stop VMs. They cannot define any: that is root's.";
    };

    vms = mkOption {
      type = types.attrsOf (types.submodule { options = definition.all; });
      default = { };
      description = "VMs that vmsecretd has the whole definition of; each becomes /etc/vmsecretd/vms/NAME.json.";
    };

    microvms = mkOption {
      type = types.attrsOf (
        types.submodule { options = definition.forMicrovm // { inherit isolate; }; }
      );
      default = { };
      example = literalExpression "{ my-app.credentials.API_KEY.age = ./api-key.age; }";
      description = "What VMs of microvm.nix get from vmsecretd; the names are those of `microvm.vms`.";
    };

    isolate = mkOption {
      type = types.bool;
      default = false;
      description = "Default of `microvms.<name>.isolate`. microvm.nix runs all VMs as one user: without this, a VMM that was taken over reaches the files and sockets of the others.";
    };

    definitions = mkOption {
      type = types.attrsOf types.attrs;
      internal = true;
      readOnly = true;
      description = "The content of every definition file, by VM.";
    };
  };
}
