# Puts one JSON file a VM under /etc/vmsecretd/vms, each checked at build time by the daemon's own program.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vmsecretd;
  toDefinition = import ./pure/definition.nix;

  ofMicrovm =
    name: microvm:
    toDefinition (
      removeAttrs microvm [ "isolate" ]
      // {
        supervisor = "unit";
        unit = "microvm@${name}.service";
      }
    );

  # `check` takes the VM's name from the file's name.
  checkedFile =
    name: definition:
    pkgs.runCommand "vmsecretd-definition-${name}"
      {
        nativeBuildInputs = [ cfg.package ];
        definition = builtins.toJSON definition;
        passAsFile = [ "definition" ];
        preferLocalBuild = true;
      }
      ''
        mkdir $out
        cp "$definitionPath" "$out/${name}.json"
        vmsecretd check "$out/${name}.json"
      '';
in
{
  config = lib.mkIf cfg.enable {
    services.vmsecretd.definitions =
      lib.mapAttrs (_: toDefinition) cfg.vms // lib.mapAttrs ofMicrovm cfg.microvms;

    environment.etc = lib.mapAttrs' (
      name: definition:
      lib.nameValuePair "vmsecretd/vms/${name}.json" {
        source = "${checkedFile name definition}/${name}.json";
      }
    ) cfg.definitions;

    # A reload reads the definitions again; running VMs stay, and show as outdated.
    systemd.services.vmsecretd.reloadTriggers = lib.mapAttrsToList (
      name: _: config.environment.etc."vmsecretd/vms/${name}.json".source
    ) cfg.definitions;
  };
}
