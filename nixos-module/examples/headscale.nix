# headscale in a k3s VM: age files on the host → /run/agenix in the guest → a Kubernetes Secret → files in the pod.
# With useAgenixSecrets the same guest takes its keys from agenix itself, at the same paths.
{ lib, ... }:
let
  vmsecretd = import ../lib.nix;
  secretNames = [
    "headscale-private"
    "headscale-noise"
    "headscale-derp"
  ];

  guest =
    { config, pkgs, ... }:
    let
      # Each key as a file of its own: a whole Secret mounted over /var/lib/headscale would hide the database there.
      mounts = map (name: {
        name = "keys";
        mountPath = "/var/lib/headscale/${lib.removePrefix "headscale-" name}.key";
        subPath = "${lib.removePrefix "headscale-" name}.key";
        readOnly = true;
      }) secretNames;
      deployment = {
        apiVersion = "apps/v1";
        kind = "Deployment";
        metadata = {
          name = "headscale";
          namespace = "headscale-system";
        };
        spec = {
          selector.matchLabels.app = "headscale";
          template = {
            metadata.labels.app = "headscale";
            spec = {
              containers = [
                {
                  name = "headscale";
                  image = "headscale/headscale:stable";
                  args = [ "serve" ];
                  volumeMounts = mounts;
                }
              ];
              volumes = [
                {
                  name = "keys";
                  secret.secretName = "headscale-keys";
                }
              ];
            };
          };
        };
      };
    in
    {
      imports = [ ../guest.nix ];

      options.headscale.useAgenixSecrets = lib.mkEnableOption "keys from agenix in the guest, not from the host";

      config = {
        microvm.hypervisor = "cloud-hypervisor";
        services.k3s.enable = true;

        vmsecretd.guest = lib.mkIf (!config.headscale.useAgenixSecrets) {
          kubectl = "${pkgs.k3s}/bin/k3s kubectl";
          secrets = lib.genAttrs secretNames (name: {
            credential = vmsecretd.credentialName name;
            mode = "0440";
            group = "keys";
          });
          kubernetesSecrets.headscale-keys = {
            namespace = "headscale-system";
            data = lib.listToAttrs (
              map (name: {
                name = "${lib.removePrefix "headscale-" name}.key";
                value = vmsecretd.credentialName name;
              }) secretNames
            );
            before = [ "headscale-deploy.service" ];
          };
        };

        systemd.services.headscale-deploy = {
          wantedBy = [ "multi-user.target" ];
          after = [ "k3s.service" ];
          serviceConfig.Type = "oneshot";
          environment.KUBECONFIG = "/etc/rancher/k3s/k3s.yaml";
          script = ''
            ${pkgs.k3s}/bin/k3s kubectl apply --server-side -f ${pkgs.writeText "headscale.json" (builtins.toJSON deployment)}
          '';
        };

        system.stateVersion = "25.11";
      };
    };
in
vmsecretd.mkMicroVMWithSecrets {
  name = "headscale";
  secrets = vmsecretd.credentialsFrom {
    headscale-private = ./secrets/headscale-private.age;
    headscale-noise = ./secrets/headscale-noise.age;
    headscale-derp = ./secrets/headscale-derp.age;
  };
  config = guest;
}
