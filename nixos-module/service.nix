# The daemon's units, users and folders, made of the files in systemd/ so that there is one source of every directive. A setting there
# that is a single value can be set otherwise in systemd.services.vmsecretd.serviceConfig; a list is added to.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vmsecretd;
  configFile =
    pkgs.runCommand "vmsecretd.json"
      {
        nativeBuildInputs = [ cfg.package ];
        settings = (pkgs.formats.json { }).generate "vmsecretd-settings.json" cfg.settings;
        preferLocalBuild = true;
      }
      ''
        vmsecretd --config "$settings" check
        cp "$settings" $out
      '';

  yielding = lib.mapAttrs (_: value: if lib.isList value then value else lib.mkDefault value);
  yieldingUnit = lib.mapAttrs (
    key: value: if lib.hasSuffix "Config" key then yielding value else value
  );
  units = lib.mapAttrs (_: lib.mapAttrs (_: yieldingUnit)) (
    import ./pure/host-units.nix {
      folder = ../systemd;
      programs = {
        vmsecretd = "${cfg.package}/bin/vmsecretd";
        kill = "${pkgs.coreutils}/bin/kill";
        vmsecretd-launch = "${pkgs.callPackage ./launch.nix { }}/bin/vmsecretd-launch";
      };
    }
  );
  sysusers = import ./pure/sysusers.nix (builtins.readFile ../systemd/vmsecretd.sysusers);

  unitVms = lib.filterAttrs (_: vm: vm.supervisor == "unit") cfg.vms;
  # microvm.nix has its own microvm@ and user.
  bringsTemplate = unitVms != { } && !(config.microvm.host.enable or false);
  unitNameOf = name: vm: if vm.unit == null then "microvm@${name}.service" else vm.unit;
  listen = cfg.settings.metrics.listen or "/";
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

    users.groups = lib.mkMerge [
      { ${cfg.settings.operatorGroup}.members = cfg.operators; }
      (lib.mkIf bringsTemplate (lib.genAttrs (lib.attrNames sysusers.users) (_: { })))
    ];
    users.users = lib.mkIf bringsTemplate (
      lib.mapAttrs (name: user: {
        isSystemUser = true;
        group = name;
        inherit (user) description home;
        extraGroups = user.groups;
      }) sysusers.users
    );

    systemd.services = {
      vmsecretd = lib.mkMerge [
        units.services.vmsecretd
        {
          path = import ./host-programs.nix pkgs ++ cfg.agePlugins;
          restartTriggers = [ configFile ];
          # One step, so that the sockets' callers wait a moment and are not turned away. VMs are units of their own and stay.
          stopIfChanged = false;
        }
        (lib.mkIf (!lib.hasPrefix "/" listen) {
          # As docs/systemd.md says for metrics on an address; stronger than the unit's, weaker than the host's.
          serviceConfig = lib.mapAttrs (_: lib.mkOverride 900) {
            PrivateNetwork = "no";
            RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
            IPAddressAllow = "localhost";
          };
        })
      ];
      "microvm@" = lib.mkIf bringsTemplate (
        lib.mkMerge [
          units.services."microvm@"
          {
            restartIfChanged = false;
            # A template has no instance to be wanted; autostart names them below.
            wantedBy = lib.mkForce [ ];
          }
        ]
      );
    };
    systemd.sockets = lib.mkMerge [
      units.sockets
      { vmsecretd.socketConfig.SocketGroup = cfg.settings.operatorGroup; }
    ];
    systemd.targets = lib.mkMerge [
      units.targets
      {
        multi-user.wants = lib.mapAttrsToList unitNameOf (
          lib.filterAttrs (_: vm: vm.autostart == true) unitVms
        );
      }
    ];
    systemd.tmpfiles.rules = import ./pure/tmpfiles.nix (
      builtins.readFile ../systemd/vmsecretd.tmpfiles
    );
  };
}
