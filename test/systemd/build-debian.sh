#!/bin/sh
# Builds a small Debian for test/systemd into the folder $1 unless it is there. One build at a time; a half-built tree is
# never seen. The suite is $2, else the host's, because the host's node and hypervisor are bound in and need its C library.
# $3 has more packages, with commas between them.
set -eu
tree=$1
suite=${2-}
mkdir -p "$(dirname "$tree")"
exec 9> "$tree.lock"
flock 9
[ ! -d "$tree" ] || exit 0
# shellcheck source=/dev/null
. /etc/os-release
rm -rf "$tree.part"
debootstrap --variant=minbase \
  --include=systemd,systemd-sysv,dbus,curl,iproute2,procps,age,socat${3:+,$3} \
  "${suite:-$VERSION_CODENAME}" "$tree.part" > "$tree.log" 2>&1 || { tail -n 20 "$tree.log" >&2; exit 1; }
rm -rf "$tree.part/var/cache/apt" "$tree.part/var/lib/apt/lists"
mv "$tree.part" "$tree"
