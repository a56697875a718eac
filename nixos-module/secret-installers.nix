# Units that put secrets on the host's file system: those of sops-nix, agenix and clan. They are wanted by sysinit.target and, with
# DefaultDependencies=no, ordered before nothing: who reads such a secret at boot has to be ordered after them. A unit that a host does
# not have is no dependency.
[
  "age-decrypt-secrets.service"
  "agenix-install-secrets.service"
  "pass-install-secrets.service"
  "sops-install-secrets.service"
]
