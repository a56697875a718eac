# Static OEM strings, no secret: microvm.nix alone, and they keep working beside secrets. A service of the guest reads them.
{
  microvm.vms.demo.config =
    { pkgs, ... }:
    {
      microvm = {
        hypervisor = "cloud-hypervisor";
        cloud-hypervisor.platformOEMStrings = [
          "io.systemd.credential:ENVIRONMENT=production"
          "io.systemd.credential:CLUSTER=my-cluster"
        ];
      };

      systemd.services.demo-oem-credentials = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig = {
          Type = "oneshot";
          LoadCredential = [
            "environment:ENVIRONMENT"
            "cluster:CLUSTER"
          ];
        };
        script = ''
          echo "environment $(cat "$CREDENTIALS_DIRECTORY/environment"), cluster $(cat "$CREDENTIALS_DIRECTORY/cluster")"
        '';
      };

      system.stateVersion = "25.11";
    };

  # This one is told by vmsecretd, and changes without a new runner.
  services.vmsecretd = {
    enable = true;
    microvms.demo.credentials.REGION.text = "eu-west";
  };
}
