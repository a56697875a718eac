# A secret that clan generates and deploys on the host goes on into the VM.
{ config, ... }:
{
  clan.core.vars.generators.my-app = {
    files.token = { };
    script = ''
      head -c 32 /dev/urandom | base64 >"$out/token"
    '';
  };

  services.vmsecretd = {
    enable = true;
    microvms.my-app.credentials.TOKEN = {
      file = config.clan.core.vars.generators.my-app.files.token.path;
      trim = "newline";
    };
  };

  microvm.vms.my-app.config = {
    microvm.hypervisor = "cloud-hypervisor";
    systemd.services.my-app.serviceConfig.LoadCredential = [ "token:TOKEN" ];
    system.stateVersion = "25.11";
  };
}
