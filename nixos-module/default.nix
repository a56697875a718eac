# The host's module: services.vmsecretd. microvm.nix is used where the host imports it, and not needed.
{
  imports = [
    ./options.nix
    ./assertions.nix
    ./definitions.nix
    ./service.nix
    ./microvms.nix
  ];
}
