# Takes a definition as the NixOS options hold it, gives what its JSON file holds: unset (null) and empty options are left out, so
# that the daemon's own defaults apply. A path of an encrypted file becomes its store path; plaintext is refused by ./problems.nix.
definition:
let
  sources = import ./sources.nix;
  isSet = value: value != null && value != { } && value != [ ];
  compact =
    attrs:
    builtins.listToAttrs (
      builtins.filter ({ value, ... }: isSet value) (
        map (name: {
          inherit name;
          value = attrs.${name};
        }) (builtins.attrNames attrs)
      )
    );
  credential =
    _: source:
    compact (
      builtins.foldl' (
        json: kind: if source.${kind} or null == null then json else json // sources.${kind}.toJson source
      ) source (builtins.attrNames sources)
    );
in
compact (
  definition
  // {
    credentials = builtins.mapAttrs credential (definition.credentials or { });
    identities = if definition.identities or null == null then null else map toString definition.identities;
  }
)
