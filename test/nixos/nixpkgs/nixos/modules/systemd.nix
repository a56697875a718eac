# NixOS's systemd options, as far as they are used here: units as options, units of packages, and drop-ins where both name one.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.systemd;
  list = mkOption {
    type = types.listOf types.anything;
    default = [ ];
  };
  settings = mkOption {
    type = types.attrsOf (
      types.oneOf [
        types.bool
        types.int
        types.str
        types.path
        types.package
        (types.listOf types.anything)
      ]
    );
    default = { };
  };
  dependencies = {
    after = "After";
    before = "Before";
    bindsTo = "BindsTo";
    conflicts = "Conflicts";
    onFailure = "OnFailure";
    partOf = "PartOf";
    requires = "Requires";
    wants = "Wants";
  };
  nullable =
    type: default:
    mkOption {
      type = types.nullOr type;
      inherit default;
    };

  unitType =
    kind: extra:
    types.submodule (
      { config, ... }:
      {
        imports = [ extra ];
        options = lib.mapAttrs (_: _: list) dependencies // {
          aliases = list;
          description = nullable types.str null;
          enable = mkOption {
            type = types.bool;
            default = true;
          };
          overrideStrategy = mkOption {
            type = types.str;
            default = "asDropinIfExists";
          };
          requiredBy = list;
          unitConfig = settings;
          wantedBy = list;
          text = mkOption { type = types.str; };
        };
      }
    );

  render =
    section: values:
    lib.optionalString (values != { }) (
      "[${section}]\n"
      + lib.concatStrings (
        lib.mapAttrsToList (
          key: value:
          lib.concatMapStrings (one: "${key}=${if lib.isBool one then lib.boolToString one else toString one}\n") (
            lib.toList value
          )
        ) values
      )
    );
  unitSection =
    unit:
    render "Unit" (
      lib.filterAttrs (_: value: value != "") (
        lib.mapAttrs' (name: key: lib.nameValuePair key (toString unit.${name})) dependencies
      )
      // lib.optionalAttrs (unit.description != null) { Description = unit.description; }
      // unit.unitConfig
    );

  serviceModule =
    { config, name, ... }:
    {
      options = {
        enableDefaultPath = mkOption {
          type = types.bool;
          default = true;
        };
        environment = settings;
        path = list;
        preStart = nullable types.lines null;
        reloadTriggers = list;
        restartIfChanged = nullable types.bool true;
        restartTriggers = list;
        script = nullable types.lines null;
        serviceConfig = settings;
        stopIfChanged = nullable types.bool true;
      };
      config = {
        path = lib.mkIf config.enableDefaultPath (
          lib.mkAfter [
            pkgs.coreutils
            pkgs.findutils
            pkgs.gnugrep
            pkgs.gnused
            pkgs.systemd
          ]
        );
        environment.PATH = lib.mkIf (
          config.path != [ ]
        ) "${lib.makeBinPath config.path}:${lib.makeSearchPathOutput "bin" "sbin" config.path}";
        serviceConfig.ExecStart = lib.mkIf (config.script != null) "${pkgs.writeShellScript "unit-script-${lib.replaceStrings [ "@" ] [ "-" ] name}" "set -e\n${config.script}"}";
        unitConfig = lib.mkMerge [
          (lib.mkIf (config.restartTriggers != [ ]) {
            X-Restart-Triggers = "${pkgs.writeText "X-Restart-Triggers" (toString config.restartTriggers)}";
          })
          (lib.mkIf (config.reloadTriggers != [ ]) {
            X-Reload-Triggers = "${pkgs.writeText "X-Reload-Triggers" (toString config.reloadTriggers)}";
          })
        ];
        text =
          unitSection config
          + render "Service" (
            {
              Environment = lib.mapAttrsToList (key: value: ''"${key}=${toString value}"'') config.environment;
            }
            // lib.optionalAttrs (config.restartIfChanged == false) { X-RestartIfChanged = "false"; }
            // lib.optionalAttrs (config.stopIfChanged == false) { X-StopIfChanged = "false"; }
            // config.serviceConfig
          );
      };
    };
  socketModule =
    { config, ... }:
    {
      options = {
        listenStreams = list;
        socketConfig = settings;
      };
      config.text =
        unitSection config
        + render "Socket" (
          lib.optionalAttrs (config.listenStreams != [ ]) { ListenStream = config.listenStreams; } // config.socketConfig
        );
    };
  plainModule = { config, ... }: { config.text = unitSection config; };

  unitsOf =
    kind: units: lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${kind}" unit) units;
  units = lib.filterAttrs (_: unit: unit.enable) (
    unitsOf "service" cfg.services // unitsOf "socket" cfg.sockets // unitsOf "target" cfg.targets
  );
in
{
  options.systemd = {
    packages = list;
    services = mkOption {
      type = types.attrsOf (unitType "service" serviceModule);
      default = { };
    };
    sockets = mkOption {
      type = types.attrsOf (unitType "socket" socketModule);
      default = { };
    };
    targets = mkOption {
      type = types.attrsOf (unitType "target" plainModule);
      default = { };
    };
    mounts = list;
    tmpfiles = {
      rules = list;
      packages = list;
      settings = mkOption {
        type = types.attrsOf (types.attrsOf (types.attrsOf (types.attrsOf types.str)));
        default = { };
      };
    };
    # What each unit's own file says, for tests.
    texts = mkOption {
      type = types.attrsOf types.str;
      readOnly = true;
    };
  };

  config = {
    # The container's systemd has them.
    systemd.targets.multi-user.overrideStrategy = "asDropin";
    systemd.texts = lib.mapAttrs (_: unit: unit.text) units;

    environment.etc."systemd/system".source =
      pkgs.runCommand "system-units" { packages = map toString cfg.packages; }
        ''
          mkdir $out
          for package in $packages; do
            for unit in "$package"/{etc,lib}/systemd/system/*; do
              if [ -e "$unit" ]; then ln -s "$unit" $out/; fi
            done
          done
          add_unit() { # NAME FILE STRATEGY
            if [ "$3" = asDropin ] || [ -e "$out/$1" ]; then
              mkdir -p "$out/$1.d"
              ln -s "$2" "$out/$1.d/overrides.conf"
            else
              ln -s "$2" "$out/$1"
            fi
          }
          add_link() { # UNIT FOLDER
            mkdir -p "$out/$2"
            ln -sfn "../$1" "$out/$2/$1"
          }
          ${lib.concatStrings (
            lib.mapAttrsToList (name: unit: ''
              add_unit '${name}' ${pkgs.writeText "unit-${lib.replaceStrings [ "@" ] [ "-" ] name}" unit.text} ${unit.overrideStrategy}
              ${lib.concatMapStrings (by: "add_link '${name}' '${by}.wants'\n") unit.wantedBy}
              ${lib.concatMapStrings (by: "add_link '${name}' '${by}.requires'\n") unit.requiredBy}
            '') units
          )}
        '';

    environment.etc."tmpfiles.d/00-nixos.conf".text =
      lib.concatMapStrings (rule: "${rule}\n") cfg.tmpfiles.rules
      + lib.concatStrings (
        lib.mapAttrsToList (
          _: paths:
          lib.concatStrings (
            lib.mapAttrsToList (
              path: types:
              lib.concatStrings (
                lib.mapAttrsToList (
                  type: rule: "${type} '${path}' ${rule.mode or "-"} ${rule.user or "-"} ${rule.group or "-"} -\n"
                ) types
              )
            ) paths
          )
        ) cfg.tmpfiles.settings
      );
    environment.etc."tmpfiles.d/00-packages.conf".source = pkgs.runCommand "tmpfiles" { } ''
      for package in ${toString cfg.tmpfiles.packages}; do cat "$package"/lib/tmpfiles.d/*.conf; done >$out
      touch $out
    '';
  };
}
