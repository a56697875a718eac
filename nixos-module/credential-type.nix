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
      sops =
        unset
          (types.coercedTo (types.either types.path types.str) (file: { inherit file; }) (
            types.submodule {
              options = {
                file = mkOption {
                  type = types.path;
                  example = literalExpression "./secrets.yaml";
                  description = "A sops file whose data key is encrypted with age. It is encrypted, so it may be in the Nix store.";
                };
                key = unset types.str {
                  example = "db/password";
                  description = "Which of its values: names and list positions with `/` between, as sops-nix has it. None for a binary file.";
                };
              };
            }
          ))
          {
            example = literalExpression "{ file = ./secrets.yaml; key = \"db/password\"; }";
            description = "One value of a sops file, opened with the identities: SSH host keys by ssh-to-age's conversion, too.";
          };
      systemdCredential = unset types.path {
        example = "/etc/credstore.encrypted/api-key";
        description = "A file of {command}`systemd-creds encrypt` on the running host. It is encrypted, so it may be in the Nix store.";
      };
      name = unset types.str {
        description = "The name that {command}`systemd-creds encrypt` was given; the name of the file unless set.";
      };
      program = unset (types.listOf (types.either types.path types.str)) {
        example = literalExpression "[ (lib.getExe pkgs.openbao) \"kv\" \"get\" \"-field=key\" \"secret/web\" ]";
        description = "A program and its arguments, run as root by the daemon without a shell. The value is what it writes to standard output. Never a secret among the arguments: every user can read them in the Nix store.";
      };
      watch = unset (types.listOf types.path) {
        description = "Files whose change may change the output of `program`.";
      };
      socket = unset types.path {
        example = "/run/systemd-vaultd/sock";
        description = "A UNIX socket that sends the value, as with {option}`LoadCredential=` of systemd.";
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
