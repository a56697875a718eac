#!/bin/sh
# Makes this example's key and age files anew: examples/agenix/make.sh, with age and ssh-keygen.
#
#   !!! THE PRIVATE KEY IN THIS FOLDER IS PUBLIC. It protects nothing: everybody has it. !!!
#   !!! Never encrypt a secret of yours to it, and never put it on a host.                !!!
#
# On a real host nothing of this is needed: the key is /etc/ssh/ssh_host_ed25519_key, which is vmsecretd's default, and
# the age files are those that agenix has made.
set -eu
cd "$(dirname "$0")"

rm -f host_ed25519_key host_ed25519_key.pub ./*.age
ssh-keygen -q -t ed25519 -N '' -C 'throwaway key of an example' -f host_ed25519_key

# What `headscale generate private-key` prints: "privkey:" and 32 bytes in hexadecimal.
for name in private noise derp; do
  printf 'privkey:%s\n' "$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')" |
    age -R host_ed25519_key.pub -o "headscale-$name.age"
done
