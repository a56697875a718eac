# The daemon's units, users and folders. The package has the units themselves; what depends on the host is set here, in drop-ins.
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
  configFile =
    pkgs.runCommand "vmsecretd.json"
      {
        nativeBuildInputs = [ cfg.package ];
        settings = (pkgs.formats.json { }).generate "vmsecretd-settings.json" (
          lib.filterAttrsRecursive (_: value: value != null) cfg.settings
        );
        preferLocalBuild = true;
      }
      ''
        vmsecretd --config "$settings" check --other-host
        cp "$settings" $out
      '';

  # microvm.nix has a microvm@ and a user of its own.
  hasMicrovmNix = options ? microvm.stateDir && config.microvm.host.enable;
  template = if hasMicrovmNix then "vmsecretd-vm" else "microvm";
  isUnit =
    vm:
    if vm.supervisor != null then
      vm.supervisor == "unit"
    else
      # As the daemon decides.
      vm.delivery or null != "cmdline";
  hasCommand = vm: vm.command or null != null || vm.vmConfig or null != null;
  unitNameOf =
    name: vm:
    if vm.unit != null then
      vm.unit
    else
      "${if hasCommand vm then template else "microvm"}@${name}.service";
  unitVms = lib.filterAttrs (_: isUnit) cfg.vms;
  bringsTemplate = lib.any (lib.hasPrefix "${template}@") (lib.attrValues cfg.unitNames);
  listen = if cfg.settings.metrics.listen == null then "/" else cfg.settings.metrics.listen;
in
{
  options.services.vmsecretd.unitNames = mkOption {
    type = types.attrsOf types.str;
    internal = true;
    readOnly = true;
    description = "The units of VMs of {option}`services.vmsecretd.vms` that have one.";
  };

  config = lib.mkMerge [
    { services.vmsecretd.unitNames = lib.mapAttrs unitNameOf unitVms; }
    (lib.mkIf cfg.enable {
      services.vmsecretd.settings.identities = lib.mkIf (cfg.identityPaths != [ ]) (
        lib.mkDefault (map toString cfg.identityPaths)
      );

      environment.etc."vmsecretd/config.json".source = configFile;
      environment.systemPackages = [ cfg.package ];

      users.groups = lib.mkMerge [
        { ${cfg.settings.operatorGroup}.members = cfg.operators; }
        # The package's tmpfiles name it, whatever operatorGroup is.
        { vmsecretd = { }; }
        # Of the VMMs' user.
        { microvm.members = lib.optional (bringsTemplate || hasMicrovmNix) "microvm"; }
      ];
      users.users = lib.mkIf (bringsTemplate && !hasMicrovmNix) {
        microvm = {
          isSystemUser = true;
          group = "microvm";
          description = "virtual machines";
          home = "/var/lib/microvms";
          extraGroups = [ "kvm" ];
        };
      };

      systemd.packages = [
        cfg.package
      ]
      ++ lib.optional bringsTemplate (
        pkgs.callPackage ./unit-template.nix {
          name = template;
          vmsecretd = cfg.package;
        }
      );
      systemd.tmpfiles.packages = [ cfg.package ];

      systemd.services = {
        vmsecretd = {
          wantedBy = [ "multi-user.target" ];
          after = import ./secret-installers.nix;
          path = cfg.agePlugins;
          restartTriggers = [ configFile ];
          # One step, so that clients of the sockets wait a moment and are not refused. VMs are units of their own and stay.
          stopIfChanged = false;
          serviceConfig = lib.mkMerge [
            {
              # A switch restarts the service, and never a socket that changed: its group would stay as it was.
              ExecStartPre = "-+${pkgs.coreutils}/bin/chgrp ${cfg.settings.operatorGroup} /run/vmsecretd/vmsecretd.sock";
            }
            (lib.mkIf (!lib.hasPrefix "/" listen) (
              # As docs/systemd.md says for metrics on an address.
              lib.mapAttrs (_: lib.mkDefault) {
                PrivateNetwork = false;
                RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
                IPAddressAllow = "localhost";
              }
            ))
          ];
        };
        "${template}@" = lib.mkIf bringsTemplate {
          after = import ./secret-installers.nix;
          path = lib.mkForce [ ];
          restartIfChanged = false;
        };
      };
      systemd.sockets = lib.mkMerge [
        (lib.genAttrs [ "vmsecretd" "vmsecretd-admin" ] (_: {
          wantedBy = [ "sockets.target" ];
        }))
        # vmsecretd-api@ is microvm@'s, unless a drop-in says whose.
        (lib.mapAttrs' (
          name: unit:
          lib.nameValuePair "vmsecretd-api@${name}" {
            overrideStrategy = "asDropin";
            socketConfig.Service = unit;
          }
        ) (lib.filterAttrs (name: unit: unit != "microvm@${name}.service") cfg.unitNames))
        { vmsecretd.socketConfig.SocketGroup = cfg.settings.operatorGroup; }
      ];
      systemd.targets.multi-user.wants = map (name: cfg.unitNames.${name}) (
        lib.attrNames (lib.filterAttrs (_: vm: vm.autostart) unitVms)
      );
    })
  ];
}
