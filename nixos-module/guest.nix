# For the guest: credentials at paths, in Kubernetes Secrets, on demand, and new ones while it runs, with the portable programs and units of guest/.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.vmsecretd.guest;
  configuration = import ./pure/guest-configuration.nix;

  # The programs and units of guest/, with store paths.
  parts = pkgs.runCommand "vmsecretd-guest" { } ''
    install -D -m 0755 -t $out/lib/vmsecretd-guest ${../guest}/vmsecretd-{key,place,receipt,send,connect,credential,refresh,kubernetes-secret}
    install -D -m 0644 -t $out/lib/systemd/system ${../guest}/vmsecretd-{place,receipt,refresh,credentials@,kubernetes-secret@}.service ${../guest}/vmsecretd-credentials.socket
    sed -i "s#/usr/lib/vmsecretd-guest/#$out/lib/vmsecretd-guest/#" $out/lib/systemd/system/*
    patchShebangs $out/lib/vmsecretd-guest
  '';
  tools = [
    pkgs.coreutils
    pkgs.diffutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.util-linux
    # vsock, in both directions
    pkgs.socat
  ];

  secretType = types.submodule (
    { name, ... }:
    {
      options = {
        credential = mkOption {
          type = types.str;
          example = "API_KEY";
          description = "The credential's name, as the host gives it.";
        };
        path = mkOption {
          type = types.str;
          default = "/run/agenix/${name}";
          description = "Where the secret stands. Outside /run/agenix it is a symlink into it.";
        };
        owner = mkOption {
          type = types.str;
          default = "root";
          description = "The file's user.";
        };
        group = mkOption {
          type = types.str;
          default = "root";
          description = "The file's group.";
        };
        mode = mkOption {
          type = types.strMatching "0?[0-7]{3}";
          default = "0400";
          description = "The file's mode.";
        };
        restartUnits = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Units that are restarted when the file changes.";
        };
        reloadUnits = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Units that are reloaded when the file changes; one that cannot reload is restarted.";
        };
      };
    }
  );

  keyType = types.submodule (
    { name, ... }:
    {
      options = {
        credential = mkOption {
          type = types.str;
          default = name;
          description = "The credential's name, as the host gives it. It must come at boot, not on demand.";
        };
        path = mkOption {
          type = types.str;
          example = "/run/keys/host.txt";
          description = "Where the key stands. Below /run it is on no disk.";
        };
        mode = mkOption {
          type = types.strMatching "0?[0-7]{3}";
          default = "0400";
          description = "The file's mode; it belongs to root.";
        };
      };
    }
  );

  kubernetesSecretType = types.submodule {
    options = {
      namespace = mkOption {
        type = types.strMatching "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
        description = "The Secret's namespace; made where it is missing.";
      };
      data = mkOption {
        type = types.attrsOf types.str;
        example = literalExpression ''{ "private.key" = "HEADSCALE_PRIVATE"; }'';
        description = "Key in the Secret → name of the credential.";
      };
      before = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Units that start only once the Secret is there.";
      };
    };
  };
in
{
  options.vmsecretd.guest = {
    secrets = mkOption {
      type = types.attrsOf secretType;
      default = { };
      description = "Credentials at paths, on memory, before the units of sysinit.target are done: what agenix does, without a key.";
    };
    keys = mkOption {
      type = types.attrsOf keyType;
      default = { };
      example = literalExpression ''{ HOST_KEY.path = "/run/keys/host.txt"; }'';
      description = "Keys that are at their paths before NixOS activates, read from SMBIOS: for {option}`sops.age.keyFile` and {option}`age.identityPaths` in the guest.";
    };
    kubernetesSecrets = mkOption {
      type = types.attrsOf kubernetesSecretType;
      default = { };
      description = "Kubernetes Secrets made of credentials, once the API answers.";
    };
    kubectl = mkOption {
      type = types.str;
      default = "${pkgs.kubectl}/bin/kubectl";
      defaultText = literalExpression ''"''${pkgs.kubectl}/bin/kubectl"'';
      example = literalExpression ''"''${pkgs.k3s}/bin/k3s kubectl"'';
      description = "The command that talks to the cluster.";
    };
    kubeconfig = mkOption {
      type = types.str;
      default = "/etc/rancher/k3s/k3s.yaml";
      description = "Path of the kubeconfig in the guest.";
    };
  };

  config = lib.mkMerge [
    {
      systemd.packages = [ parts ];
      systemd.sockets.vmsecretd-credentials.wantedBy = [ "sockets.target" ];
      systemd.services = {
        vmsecretd-receipt = {
          wantedBy = [ "multi-user.target" ];
          path = tools;
        };
        "vmsecretd-credentials@".path = tools;
        vmsecretd-refresh = {
          wantedBy = [ "multi-user.target" ];
          path = tools;
          # It would end in the middle of what it does.
          restartIfChanged = false;
        };
      };
    }
    (lib.mkIf (cfg.keys != { }) {
      assertions = configuration.pathProblems "keys" cfg.keys;
      # Snippets run in the order of their names: sops-nix and agenix have theirs behind it.
      system.activationScripts."00-vmsecretd-keys" = {
        deps = [ "specialfs" ];
        text = ''
          PATH=${lib.makeBinPath tools} ${parts}/lib/vmsecretd-guest/vmsecretd-key ${pkgs.writeText "keys" (configuration.keys cfg.keys)}
        '';
      };
    })
    (lib.mkIf (cfg.secrets != { }) {
      assertions = configuration.pathProblems "secrets" cfg.secrets;
      environment.etc."vmsecretd-guest/secrets".text = configuration.secrets cfg.secrets;
      systemd.services.vmsecretd-place = {
        wantedBy = [ "sysinit.target" ];
        path = tools;
        restartTriggers = [ config.environment.etc."vmsecretd-guest/secrets".source ];
      };
    })
    (lib.mkIf (cfg.kubernetesSecrets != { }) {
      environment.etc = {
        # The unit reads it after its own Environment=.
        "vmsecretd-guest/environment".text = ''
          KUBECONFIG=${cfg.kubeconfig}
          VMSECRETD_KUBECTL=${builtins.toJSON cfg.kubectl}
        '';
      }
      // lib.mapAttrs' (
        name: secret:
        lib.nameValuePair "vmsecretd-guest/kubernetes/${name}" {
          text = configuration.kubernetesSecret name secret;
        }
      ) cfg.kubernetesSecrets;

      systemd.services = {
        "vmsecretd-kubernetes-secret@".path = tools;
      }
      // lib.mapAttrs' (
        name: secret:
        lib.nameValuePair "vmsecretd-kubernetes-secret@${name}" {
          overrideStrategy = "asDropin";
          path = lib.mkForce [ ];
          wantedBy = [ "multi-user.target" ];
          inherit (secret) before;
          requiredBy = secret.before;
        }
      ) cfg.kubernetesSecrets;
    })
  ];
}
