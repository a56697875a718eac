#!/bin/sh
# install.sh [ROOT]: installs the guest parts into this system, or into the one below ROOT, and enables what has no parameter.
set -eu
case ${1-} in
  -*)
    echo 'usage: install.sh [ROOT]' >&2
    exit 2
    ;;
esac
here=${0%/*}
root=${1:-}
install -d "$root/usr/lib/vmsecretd-guest" "$root/usr/lib/systemd/system"
for program in import key place receipt ready send kubernetes-secret connect credential refresh; do
  install -m 0755 "$here/vmsecretd-$program" "$root/usr/lib/vmsecretd-guest/"
done
install -m 0644 "$here"/*.service "$here"/*.socket "$root/usr/lib/systemd/system/"
systemctl ${root:+--root="$root"} enable vmsecretd-import vmsecretd-key vmsecretd-place vmsecretd-receipt vmsecretd-ready \
  vmsecretd-refresh vmsecretd-credentials.socket
