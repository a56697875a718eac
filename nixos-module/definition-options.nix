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
    json = types.attrsOf types.anything;
    path = types.path;
    paths = types.listOf types.path;
    seconds = types.ints.between 1 86400;
    string = types.str;
    strings = types.listOf types.str;
  };

  # Every option is unset unless the user sets it.
  plainOption =
    key:
    mkOption {
      type = types.nullOr (if lib.isList key.type then types.enum key.type else namedTypes.${key.type});
      default = null;
      inherit (key) description;
    }
    // lib.optionalAttrs (key ? example) { example = lib.literalExpression key.example; };
  credentialType = types.submodule {
    options = lib.mapAttrs (_: plainOption) (import ./pure/credential-keys.nix);
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
      plainOption key;
in
{
  all = lib.mapAttrs (_: optionOf) keys;
  forMicrovm = lib.mapAttrs (_: optionOf) (lib.filterAttrs (_: key: key.forMicrovm or false) keys);
}
