# For the guest: puts credentials at paths and into Kubernetes Secrets, with the portable programs and units of guest/.
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
    install -D -m 0755 -t $out/lib/vmsecretd-guest ${../guest}/vmsecretd-{place,receipt,send,kubernetes-secret}
    install -D -m 0644 -t $out/lib/systemd/system ${../guest}/vmsecretd-{place,receipt,kubernetes-secret@}.service
    sed -i "s#/usr/lib/vmsecretd-guest/#$out/lib/vmsecretd-guest/#" $out/lib/systemd/system/*
    patchShebangs $out/lib/vmsecretd-guest
  '';
  tools = [
    pkgs.coreutils
    pkgs.diffutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.util-linux
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
      systemd.services.vmsecretd-receipt = {
        wantedBy = [ "multi-user.target" ];
        path = tools;
      };
    }
    (lib.mkIf (cfg.secrets != { }) {
      assertions = configuration.secretProblems cfg.secrets;
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
