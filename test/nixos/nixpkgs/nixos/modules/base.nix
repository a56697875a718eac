# The options of NixOS that the tested modules read, or set from several places; whatever else they set is taken and ignored.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  list = mkOption {
    type = types.listOf types.anything;
    default = [ ];
  };
  flag = mkOption {
    type = types.bool;
    default = false;
  };
  any =
    default:
    mkOption {
      type = types.anything;
      inherit default;
    };
  failed = map (assertion: assertion.message) (lib.filter (assertion: !assertion.assertion) config.assertions);

  etcType = types.submodule (
    { config, name, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
        };
        text = mkOption {
          type = types.nullOr types.lines;
          default = null;
        };
        source = mkOption {
          type = types.path;
        };
        mode = mkOption {
          type = types.str;
          default = "symlink";
        };
      };
      config.source = lib.mkIf (config.text != null) (
        lib.mkDefault (pkgs.writeText "etc-${baseNameOf name}" config.text)
      );
    }
  );

  userType = types.submodule {
    options = {
      isSystemUser = flag;
      isNormalUser = flag;
      group = any "";
      home = any "/var/empty";
      description = any "";
      extraGroups = list;
    };
  };

  etc = lib.filterAttrs (_: file: file.enable) config.environment.etc;
  groupsOf = name: user: user.extraGroups ++ lib.attrNames (lib.filterAttrs (_: group: lib.elem name group.members) config.users.groups);
in
{
  options = {
    assertions = list;
    warnings = list;
    networking.hostName = any "host";
    nixpkgs.overlays = list;
    nix = {
      enable = flag;
      package = any pkgs.nix;
      optimise.automatic = flag;
      settings.auto-optimise-store = flag;
    };
    documentation.enable = any true;
    boot = {
      kernelModules = list;
      kernelParams = list;
      blacklistedKernelModules = list;
      kernelPackages = any pkgs.linuxPackages;
      initrd = {
        kernelModules = list;
        availableKernelModules = list;
        systemd.enable = flag;
      };
    };
    security.virtualisation.flushL1DataCache = any null;
    services.openssh = {
      enable = flag;
      hostKeys = any [
        {
          type = "rsa";
          path = "/etc/ssh/ssh_host_rsa_key";
        }
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
    };
    environment = {
      systemPackages = list;
      etc = mkOption {
        type = types.attrsOf etcType;
        default = { };
      };
    };
    users = {
      users = mkOption {
        type = types.attrsOf userType;
        default = { };
      };
      groups = mkOption {
        type = types.attrsOf (types.submodule { options.members = list; });
        default = { };
      };
    };
    system = {
      nixos.label = any "test";
      switch.enable = flag;
      boot.loader = {
        initrdFile = any "initrd";
        kernelFile = any "bzImage";
      };
      build = mkOption {
        type = types.lazyAttrsOf types.unspecified;
        default = { };
      };
    };
  };

  config = {
    _module.check = false;

    system.build.initialRamdisk = pkgs.runCommand "initrd" { } "mkdir $out; echo none >$out/initrd";

    # As NixOS does: the host's files in one folder, and a script that makes a running system it.
    system.build.toplevel =
      if failed != [ ] then
        throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}"
      else
        pkgs.runCommand "nixos-system-${config.networking.hostName}" { } ''
          mkdir -p $out/etc $out/sw/bin
          ${lib.concatStrings (
            lib.mapAttrsToList (name: file: ''
              mkdir -p "$(dirname "$out/etc/${name}")"
              ln -s ${file.source} "$out/etc/${name}"
            '') etc
          )}
          for package in ${toString (lib.filter (package: package ? outPath) config.environment.systemPackages)}; do
            for program in "$package"/bin/*; do ln -sf "$program" $out/sw/bin/; done
          done
          install -m 755 ${pkgs.writeText "activate" config.system.build.activation} $out/activate
        '';
    system.build.activation = ''
      #!/bin/sh
      # Run by root of the container: users, /etc, units, folders.
      set -eu
      system=$(dirname "$(readlink -f "$0")")
      ${lib.concatMapStrings (name: ''
        getent group ${name} >/dev/null || groupadd --system ${name}
      '') (lib.attrNames config.users.groups)}
      ${lib.concatStrings (
        lib.mapAttrsToList (name: user: ''
          getent passwd ${name} >/dev/null || useradd --system --no-create-home --home-dir ${user.home} \
            ${lib.optionalString (user.group != "") "--gid ${user.group}"} ${name}
          ${lib.concatMapStrings (group: "usermod --append --groups ${group} ${name}\n") (groupsOf name user)}
        '') config.users.users
      )}
      mkdir -p /run/current-system
      ln -sfn "$system/sw" /run/current-system/sw
      (cd "$system/etc" && find . ! -type d -printf '%P\n') | grep -v '^systemd/system$' | while read -r file; do
        mkdir -p "/etc/$(dirname "$file")"
        ln -sfn "$system/etc/$file" "/etc/$file"
      done
      # What an earlier generation had, and this one has not.
      for file in $(find /etc -xtype l -lname '*/nixos-system-*' 2>/dev/null) $(find /etc -lname '/nix/store/*-nixos-system-*'); do
        [ -e "$system/etc/''${file#/etc/}" ] || rm -f "$file"
      done
      find /etc/systemd/system -lname '/nix/store/*' -delete
      cp -rsf --no-dereference "$(readlink -f "$system/etc/systemd/system")"/. /etc/systemd/system/
      systemctl daemon-reload
      systemd-tmpfiles --create /etc/tmpfiles.d/*.conf
    '';
  };
}
