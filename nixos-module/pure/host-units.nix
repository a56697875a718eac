# Takes the folder systemd/ and { program = "/nix/store/…"; }, gives every unit file in it as NixOS options take it, by kind. NixOS
# then has whatever unit is added there.
{ folder, programs }:
let
  files = builtins.attrNames (builtins.readDir folder);
  unitsOf =
    kind:
    let
      nameOf = file: builtins.match "(.+)\\.${kind}" file;
    in
    builtins.listToAttrs (
      map (file: {
        name = builtins.head (nameOf file);
        value = import ./unit-settings.nix {
          text = builtins.readFile (folder + "/${file}");
          inherit programs;
        };
      }) (builtins.filter (file: nameOf file != null) files)
    );
in
{
  services = unitsOf "service";
  sockets = unitsOf "socket";
  targets = unitsOf "target";
}
