# agenix's own file: which age file is encrypted to which keys. `agenix -e headscale-private.age` reads it.
let
  # The host's SSH key, as `ssh-keyscan HOST` shows it. This one is the throwaway key of this example.
  host = builtins.readFile ./host_ed25519_key.pub;
in
{
  "headscale-private.age".publicKeys = [ host ];
  "headscale-noise.age".publicKeys = [ host ];
  "headscale-derp.age".publicKeys = [ host ];
}
