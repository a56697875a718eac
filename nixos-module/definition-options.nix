# Takes lib, gives the options of one definition: the table of ./pure/definition-keys.nix with NixOS types. Every default is null, which
# means "not in the JSON file", so that the daemon's defaults are written in one place, the daemon.
{ lib }:
let
  inherit (lib) mkOption types;
  keys = import ./pure/definition-keys.nix;

  commandType = types.either types.str (types.listOf types.str);
  namedTypes = {
    boolean = types.bool;
    command = commandType;
    commands = types.listOf commandType;
    json = (types.attrsOf types.anything);
    paths = types.listOf types.path;
    seconds = types.ints.between 1 86400;
    string = types.str;
    strings = types.listOf types.str;
  };

  credentialType = types.submodule {
    options = {
      age = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = lib.literalExpression "./api-key.age";
        description = "An age file, as agenix has them. It is encrypted, so it may lie in the Nix store.";
      };
      file = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/run/secrets/api-key";
        description = "A plain file of the running host, as sops-nix, agenix and clan make them. Never one in the Nix store.";
      };
      text = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The value itself, for values that are no secrets: everybody can read it in the Nix store.";
      };
      trim = mkOption {
        type = types.nullOr (
          types.enum [
            "none"
            "newline"
          ]
        );
        default = null;
        description = "`newline` takes exactly one trailing line ending off.";
      };
    };
  };

  optionOf =
    key:
    if key.type == "credentials" then
      mkOption {
        type = types.attrsOf credentialType;
        default = { };
        inherit (key) description;
        example = lib.literalExpression "{ API_KEY.age = ./api-key.age; }";
      }
    else
      mkOption {
        type = types.nullOr (if lib.isList key.type then types.enum key.type else namedTypes.${key.type});
        default = null;
        inherit (key) description;
      };
in
{
  all = lib.mapAttrs (_: optionOf) keys;
  forMicrovm = lib.mapAttrs (_: optionOf) (lib.filterAttrs (_: key: key.forMicrovm or false) keys);
}
