# Takes lib and pkgs, gives the type of a credential: an age file, a path of the running host, or an attribute set that says which.
{ lib, pkgs }:
let
  inherit (lib) literalExpression mkOption types;
  vmsecretd = import ./lib.nix;
  unset =
    type: option:
    mkOption (
      {
        type = types.nullOr type;
        default = null;
      }
      // option
    );
in
types.coercedTo (types.either types.path types.str) (vmsecretd.toCredential "NAME") (
  types.submodule {
    # A key that is not here is checked when the host is built, by `vmsecretd check`.
    freeformType = (pkgs.formats.json { }).type;
    options = {
      age = unset types.path {
        example = literalExpression "./api-key.age";
        description = "An age file, as agenix has them. It is encrypted, so it may be in the Nix store.";
      };
      file = unset types.path {
        example = "/run/secrets/api-key";
        description = "A plain file of the running host, as sops-nix, agenix and clan make them. Never one in the Nix store.";
      };
      text = unset types.str {
        description = "The value itself, for values that are no secrets: every user can read it in the Nix store.";
      };
      trim = unset (types.enum [
        "none"
        "newline"
      ]) { description = "`newline` removes exactly one line ending from the end."; };
      onDemand = unset types.bool {
        description = "Not in SMBIOS: the guest asks for it when a unit needs it, up to 1 MiB.";
      };
    };
  }
)
