# The functions that a user's Nix files call. They need no nixpkgs, but for mkLauncher.
let
  credentialName = import ./pure/credential-name.nix;

  # A path or an .age file is encrypted; another absolute path is a file of the running host; a set is taken as it is.
  toCredential =
    name: source:
    let
      isAge = builtins.match ".*\\.age" (toString source) != null;
    in
    if builtins.isAttrs source then
      source
    else if isAge then
      { age = source; }
    else if builtins.isPath source then
      throw "vmsecretd: secret ${name} = ${toString source}: this would be world-readable, a plain file in the Nix store; encrypt it to ${builtins.baseNameOf source}.age"
    else if builtins.match "/.*" source != null then
      { file = source; }
    else
      throw "vmsecretd: secret ${name} takes an age file (./${name}.age), a path on the host (\"/run/secrets/${name}\") or { age, file, text, trim }; a plain value would be world-readable";

  # { api-key = ./api-key.age; } → { API_KEY.age = ./api-key.age; }
  credentialsFrom =
    secrets:
    let
      names = builtins.attrNames secrets;
    in
    builtins.listToAttrs (
      map (name: {
        name = credentialName name;
        value = toCredential name secrets.${name};
      }) names
    );
in
{
  inherit credentialName credentialsFrom toCredential;

  # The package for microvm.cloud-hypervisor.package of a VM that brings its own evaluation.
  mkLauncher = import ./launcher.nix;
  # The same for microvm.qemu.package.
  mkQemuLauncher = import ./qemu-launcher.nix;

  # A module for the host: the VM for microvm.nix and its secrets, together. Further arguments go to microvm.vms.NAME.
  # Secrets are named as the guest reads them; write secrets = credentialsFrom { api-key = …; } for names as files have them.
  mkMicroVMWithSecrets =
    {
      name,
      secrets,
      config,
      ...
    }@arguments:
    {
      microvm.vms.${name} =
        builtins.removeAttrs arguments [
          "config"
          "name"
          "secrets"
        ]
        // {
          config = {
            imports = [ config ];
            microvm.hypervisor = "cloud-hypervisor";
          };
        };
      services.vmsecretd = {
        enable = true;
        microvms.${name}.credentials = builtins.mapAttrs toCredential secrets;
      };
    };
}
