# Secrets decrypted when the VM starts, read in the guest with LoadCredential.
{
  services.openssh.enable = true; # its host keys open the age files

  services.vmsecretd = {
    enable = true;
    operators = [ "alice" ];
    microvms.my-app = {
      isolate = true;
      credentials = {
        API_KEY.age = ./secrets/api-key.age;
        DB_PASSWORD = {
          file = "/run/secrets/my-app/db-password"; # of sops-nix
          trim = "newline";
        };
      };
    };
  };

  microvm.vms.my-app.config = {
    microvm = {
      hypervisor = "cloud-hypervisor";
      vsock.cid = 17;
    };

    systemd.services.my-app = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig.LoadCredential = [
        "api-key:API_KEY"
        "db-password:DB_PASSWORD"
      ];
      script = ''
        exec my-app --api-key-file "$CREDENTIALS_DIRECTORY/api-key" --db-password-file "$CREDENTIALS_DIRECTORY/db-password"
      '';
    };

    system.stateVersion = "25.11";
  };
}
