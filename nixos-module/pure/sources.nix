# The kinds of sources, and how one as the NixOS options hold it becomes what its JSON has. A kind that is not here is taken as it is,
# and left to `vmsecretd check`.
let
  # A path of Nix becomes its store path.
  toPath = value: if builtins.isPath value then "${value}" else toString value;
  baseName = value: baseNameOf (toString value);
in
{
  age = {
    toJson = source: { age = toPath source.age; };
  };
  file = {
    toJson = source: { inherit (source) file; };
  };
  text = {
    toJson = source: { inherit (source) text; };
  };
  sops = {
    toJson =
      { sops, ... }:
      if builtins.isAttrs sops then
        {
          sops = toPath sops.file;
          key = sops.key or null;
        }
      else
        { sops = toPath sops; };
  };
  systemdCredential = {
    # The name in the Nix store is another than the one it was encrypted with.
    toJson =
      { systemdCredential, name ? null, ... }:
      {
        systemdCredential = toPath systemdCredential;
        name = if name == null && builtins.isPath systemdCredential then baseName systemdCredential else name;
      };
  };
  program = {
    toJson =
      { program, watch ? null, ... }:
      {
        program = map toPath program;
        watch = if watch == null then null else map toString watch;
      };
  };
  socket = {
    toJson = source: { socket = toString source.socket; };
  };
}
