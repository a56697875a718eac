# Every key of a credential in a definition's JSON, as ./definition-keys.nix has those of the definition.
{
  age = {
    type = "path";
    example = "./api-key.age";
    description = "An age file, as agenix has them. It is encrypted, so it may lie in the Nix store.";
  };
  file = {
    type = "path";
    example = ''"/run/secrets/api-key"'';
    description = "A plain file of the running host, as sops-nix, agenix and clan make them. Never one in the Nix store.";
  };
  text = {
    type = "string";
    description = "The value itself, for values that are no secrets: everybody can read it in the Nix store.";
  };
  trim = {
    type = [
      "none"
      "newline"
    ];
    description = "`newline` takes exactly one trailing line ending off.";
  };
}
