#!/usr/bin/env bash
# Installs the programs that tests use, on Debian as root; elsewhere says which are missing, and their tests are skipped.
# Exits 0 either way: what a test lacks, the test itself names.
set -euo pipefail

# program:Debian package
programs=(
  qemu-system-x86_64:qemu-system-x86
  age:age
  ssh-keygen:openssh-client
  sshd:openssh-server
  debootstrap:debootstrap
  systemd-nspawn:systemd-container
  curl:curl
  nix-instantiate:nix-bin
  cpio:cpio
  zstd:zstd
  setpriv:util-linux
  mkfifo:coreutils
  groff:groff-base
  zsh:zsh
  fish:fish
)

# Those of root's among them are not on everyone's PATH.
PATH=$PATH:/usr/sbin:/sbin
missing=() packages=()
for entry in "${programs[@]}"; do
  command -v "${entry%%:*}" >/dev/null && continue
  missing+=("${entry%%:*}")
  packages+=("${entry#*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, so their tests are skipped: ${missing[*]}" >&2
  echo "On Debian: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
  exit 0
fi

echo "Installing for the tests: ${packages[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install=(apt-get install -y -qq --no-install-recommends "${packages[@]}")
if ! { apt-get update -qq && "${install[@]}"; } </dev/null >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "apt-get failed; tests of the programs that are missing are skipped." >&2
fi
