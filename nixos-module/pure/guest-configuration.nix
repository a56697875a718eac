# Takes the guest module's secrets, gives the files that the programs of guest/ read: one line a secret or key, one file a Kubernetes Secret.
let
  values = attrs: map (name: attrs.${name}) (builtins.attrNames attrs);
  lines = builtins.concatStringsSep "\n";
in
{
  secrets =
    secrets:
    lines (
      map (
        secret:
        builtins.concatStringsSep ":" [
          secret.credential
          secret.path
          secret.owner
          secret.group
          secret.mode
          (toString secret.restartUnits)
          (toString secret.reloadUnits)
        ]
      ) (values secrets)
    )
    + "\n";

  keys =
    keys:
    lines (
      map (
        key:
        builtins.concatStringsSep ":" [
          key.credential
          key.path
          key.mode
        ]
      ) (values keys)
    )
    + "\n";

  kubernetesSecret =
    name: { namespace, data, ... }:
    lines (
      [
        "namespace:${namespace}"
        "name:${name}"
      ]
      ++ map (key: "key:${key}:${data.${key}}") (builtins.attrNames data)
    )
    + "\n";

  # `option`: `secrets` or `keys`.
  pathProblems =
    option: files:
    map (name: {
      assertion = builtins.match "/[^:\n]+" files.${name}.path != null;
      message = "vmsecretd.guest.${option}.${name}.path = ${files.${name}.path}: it takes an absolute path without ':'.";
    }) (builtins.attrNames files);
}
