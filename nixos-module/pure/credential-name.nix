# Takes a secret's name as people write it in a Nix file, gives the credential's name as guests read it: "api-key" → "API_KEY".
# Nothing calls it by itself. Refuses what has no such form, so that no two characters become one unnoticed.
name:
let
  lower = "abcdefghijklmnopqrstuvwxyz";
  upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  letters =
    alphabet: builtins.genList (index: builtins.substring index 1 alphabet) (builtins.stringLength alphabet);
in
if builtins.match "[a-z0-9]([a-z0-9-]*[a-z0-9])?" name == null then
  throw "vmsecretd: credentialName takes a-z, 0-9 and inner '-', as in \"api-key\"; write the credential's name itself instead of \"${name}\""
else
  builtins.replaceStrings (letters lower ++ [ "-" ]) (letters upper ++ [ "_" ]) name
