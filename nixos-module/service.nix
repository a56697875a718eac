# The daemon's units, made of the files in systemd/ so that there is one source of every directive. A setting there that is a single
# value can be set otherwise in systemd.services.vmsecretd.serviceConfig; a list is added to.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vmsecretd;
  configFile = (pkgs.formats.json { }).generate "vmsecretd.json" cfg.settings;

  yielding = lib.mapAttrs (_: value: if lib.isList value then value else lib.mkDefault value);
  sections = [
    "unitConfig"
    "serviceConfig"
    "socketConfig"
  ];
  unitOf =
    file:
    lib.mapAttrs (name: value: if lib.elem name sections then yielding value else value) (
      import ./pure/unit-settings.nix {
        text = builtins.readFile (../systemd + "/${file}");
        programs = {
          vmsecretd = "${cfg.package}/bin/vmsecretd";
          vmsecretctl = "${cfg.package}/bin/vmsecretctl";
          kill = "${pkgs.coreutils}/bin/kill";
          vmsecretd-launch = "${pkgs.callPackage ./launch.nix { }}/bin/vmsecretd-launch";
        };
      }
    );

  runsPlainUnits = lib.any (vm: vm.supervisor == "unit") (lib.attrValues cfg.vms);
  hasMicrovmNix = config.microvm.host.enable or false;
in
{
  config = lib.mkIf cfg.enable {
    services.vmsecretd.settings = {
      operatorGroup = lib.mkDefault "vmsecretd";
      identities = lib.mkIf (cfg.identityPaths != [ ]) (map toString cfg.identityPaths);
      hypervisors.cloud-hypervisor.path = lib.mkDefault "${cfg.cloudHypervisor.package}/bin/cloud-hypervisor";
    };

    environment.etc."vmsecretd/config.json".source = configFile;
    environment.systemPackages = [ cfg.package ];
    users.groups.${cfg.settings.operatorGroup}.members = cfg.operators;

    systemd.services.vmsecretd = lib.mkMerge [
      (unitOf "vmsecretd.service")
      {
        path = [ pkgs.util-linux ] ++ cfg.agePlugins;
        restartTriggers = [ configFile ];
        # One step, so that the sockets' callers wait a moment and are not turned away. VMs are units of their own and stay.
        stopIfChanged = false;
      }
    ];

    systemd.sockets.vmsecretd = lib.mkMerge [
      (unitOf "vmsecretd.socket")
      { socketConfig.SocketGroup = cfg.settings.operatorGroup; }
    ];
    systemd.sockets.vmsecretd-admin = unitOf "vmsecretd-admin.socket";
    systemd.sockets.vmsecretd-launch = unitOf "vmsecretd-launch.socket";

    # microvm.nix has its own microvm@.
    systemd.services."microvm@" = lib.mkIf (runsPlainUnits && !hasMicrovmNix) (
      lib.mkMerge [
        (unitOf "microvm@.service")
        { restartIfChanged = false; }
      ]
    );
    users.groups.microvm = lib.mkIf (runsPlainUnits && !hasMicrovmNix) { };
    users.users.microvm = lib.mkIf (runsPlainUnits && !hasMicrovmNix) {
      isSystemUser = true;
      group = "microvm";
      extraGroups = [ "kvm" ];
      home = "/var/lib/microvms";
    };

    # What is below /etc NixOS makes itself.
    systemd.tmpfiles.rules = lib.filter (lib.hasInfix " /run/") (
      lib.splitString "\n" (builtins.readFile ../systemd/vmsecretd.tmpfiles)
    );
  };
}
