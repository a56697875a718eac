# Takes the guest module's secrets, gives the files that the programs of guest/ read: one line a secret, one file a Kubernetes Secret.
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
        ]
      ) (values secrets)
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

  secretProblems =
    secrets:
    map (name: {
      assertion = builtins.match "/[^:\n]+" secrets.${name}.path != null;
      message = "vmsecretd.guest.secrets.${name}.path = ${secrets.${name}.path}: it takes an absolute path without ':'.";
    }) (builtins.attrNames secrets);
}
