#!/bin/sh
# Installs vmsecretd from this folder's parent, an unpacked tarball or a clone that was built (npm ci && npm run build), or removes it.
# install.sh [--prefix DIR] [--uninstall [--purge]]; DESTDIR stages into a folder and touches no running system. On Debian, hosts
# are better served by the package: npm run package.
set -eu

usage='usage: [DESTDIR=DIR] install.sh [--prefix DIR] [--uninstall [--purge]]'
fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

prefix=/usr/local
uninstall=
purge=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix)
      [ $# -gt 1 ] || fail "--prefix needs a folder; $usage" 2
      prefix=$2
      shift
      ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    --help)
      echo "$usage"
      exit 0
      ;;
    *) fail "unknown argument \"$1\"; $usage" 2 ;;
  esac
  shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || fail "--purge goes with --uninstall; $usage" 2
# The prefix is written into units and a shell script.
case $prefix in
  /*[!A-Za-z0-9/_.+-]* | [!/]* | '') fail "--prefix must be an absolute path of letters, digits and / _ . + -" 2 ;;
esac

root=${DESTDIR-}
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
library=$prefix/lib/vmsecretd
# systemd looks in PREFIX/lib/systemd only for these two.
case $prefix in
  /usr | /usr/local) configuration=$prefix/lib ;;
  *) configuration=/etc ;;
esac
units=$configuration/systemd/system
sysusers=$configuration/sysusers.d/vmsecretd.conf
tmpfiles=$configuration/tmpfiles.d/vmsecretd.conf
# Man pages and completions of the three programs.
share_names='man/man1/vmsecretctl.1 man/man8/vmsecretd.8 man/man8/vmsecretd-launch.8
  bash-completion/completions/vmsecretctl zsh/site-functions/_vmsecretctl fish/vendor_completions.d/vmsecretctl.fish'
unit_names='vmsecretd.service vmsecretd.socket vmsecretd-admin.socket vmsecretd-ready.target microvm@.service vmsecretd-api@.socket'

is_live() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

# VMs with "supervisor": "daemon", whose hypervisors outlive the service: each writes into the log of its VM.
list_children() {
  for output in /proc/[0-9]*/fd/1; do
    log=$(readlink "$output" 2> /dev/null) || continue
    case $log in
      /run/vmsecretd/logs/*.vmm.log) basename "$log" .vmm.log ;;
    esac
  done | sort -u | tr '\n' ' '
}

refuse_while_vms_run() {
  running=$(systemctl list-units --plain --no-legend --state=active,activating,deactivating 'microvm@*.service' | cut -d' ' -f1 | tr '\n' ' ')
  children=$(list_children)
  [ -z "$children" ] || fail "these VMs, which no unit supervises, still run: ${children% }. Stop them first: vmsecretctl stop NAME"
  [ -z "$running" ] || fail "these VMs still run and need the launcher to be stopped: ${running% }. Stop them first: systemctl stop 'microvm@*'"
}

# What 0.1.0 had: a socket for every local user.
remove_old_units() {
  old=vmsecretd-launch.socket
  [ -e "$root$units/$old" ] || return 0
  if is_live; then systemctl disable --quiet --now "$old"; fi
  rm -f "$root$units/$old" "$root/run/vmsecretd/launch.sock"
}

uninstall_all() {
  # Not there: an earlier run was here already.
  if is_live && [ -e "$units/vmsecretd.service" ]; then
    refuse_while_vms_run
    systemctl disable --quiet --now vmsecretd.socket vmsecretd-admin.socket vmsecretd-ready.target vmsecretd.service ||
      fail 'the units could not be stopped'
  fi
  remove_old_units
  for name in $unit_names; do rm -f "$root$units/$name"; done
  remove_dangling_wants
  rm -f "$root$sysusers" "$root$tmpfiles"
  rm -f "$root$prefix/bin/vmsecretd" "$root$prefix/bin/vmsecretctl" "$root$prefix/bin/vmsecretd-launch"
  for name in $share_names; do rm -f "$root$prefix/share/$name"; done
  rm -rf "$root$library" "$root/run/vmsecretd"
  if is_live; then systemctl daemon-reload; fi
  if [ -n "$purge" ]; then
    rm -rf "$root/var/lib/vmsecretd"
    echo 'Removed vmsecretd and its state. /etc/vmsecretd, the disks in /var/lib/microvms and the users stay.'
  else
    echo "Removed vmsecretd. Definitions kept in $root/var/lib/vmsecretd stay (--purge removes them), as do /etc/vmsecretd,"
    echo 'the disks in /var/lib/microvms and the users.'
  fi
}

# Of VMs that were enabled, and of whatever `systemctl disable` could not be asked about: links to units that are gone.
remove_dangling_wants() {
  for link in "$root"/etc/systemd/system/*.wants/* "$root"/etc/systemd/system/*.requires/*; do
    [ -L "$link" ] || continue
    for name in $unit_names; do
      [ "$(readlink "$link")" != "$units/$name" ] || rm -f "$link"
    done
  done
}

write_program() {
  {
    echo '#!/bin/sh'
    echo "exec $node $library/$2 \"\$@\""
  } > "$root$prefix/bin/$1"
  chmod 755 "$root$prefix/bin/$1"
}

install_all() {
  for built in bundle/daemon.js share/man; do
    [ -e "$source/dist/$built" ] || fail "$source is not built: npm ci && npm run build"
  done
  # NODE is the program that the installed system will have; the one of this system checks the build.
  node=$(command -v node) || fail 'node: not found on PATH; install Node 20.19 or later'
  "$node" "$source/dist/bundle/daemon.js" --version > /dev/null || fail "$node: vmsecretd does not run with it; install Node 20.19 or later"
  node=${NODE-$node}
  rm -rf "$root$library.new"
  mkdir -p "$root$library.new/dist" "$root$prefix/bin" "$root$units" \
    "$(dirname "$root$sysusers")" "$(dirname "$root$tmpfiles")"
  cp "$source/package.json" "$root$library.new/"
  cp -R "$source/dist/bundle" "$root$library.new/dist/"
  # With all that pages link to.
  for item in docs guest systemd nixos-module examples README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE; do
    if [ -e "$source/$item" ]; then cp -R "$source/$item" "$root$library.new/"; fi
  done
  programs=src/system/host-programs.json
  if [ -e "$source/$programs" ]; then install -D -m 644 "$source/$programs" "$root$library.new/$programs"; fi
  # What makes pages, and is not for readers.
  rm -f "$root$library.new/docs/"*.ts "$root$library.new/docs/"*.nix "$root$library.new/docs/"*.sh
  rm -rf "$root$library"
  mv "$root$library.new" "$root$library"

  write_program vmsecretd dist/bundle/daemon.js
  write_program vmsecretctl dist/bundle/vmsecretctl.js
  install -m 755 "$source/systemd/vmsecretd-launch" "$root$prefix/bin/vmsecretd-launch"
  for name in $unit_names; do
    sed "s#/usr/local/#$prefix/#g" "$source/systemd/$name" > "$root$units/$name"
    chmod 644 "$root$units/$name"
  done
  for name in $share_names; do install -D -m 644 "$source/dist/share/$name" "$root$prefix/share/$name"; done
  install -m 644 "$source/systemd/vmsecretd.sysusers" "$root$sysusers"
  install -m 644 "$source/systemd/vmsecretd.tmpfiles" "$root$tmpfiles"
  remove_old_units
  if is_live; then
    systemd-sysusers "$sysusers"
    systemd-tmpfiles --create "$tmpfiles"
    systemctl daemon-reload
    # An upgrade: a daemon of the old version must not fork deliverers of the new one. No VM notices.
    systemctl try-restart vmsecretd.service
  fi
  next=
  [ -n "$root" ] || next=' Next: systemctl enable --now vmsecretd.service'
  echo "Installed vmsecretd in $root$library.$next"
}

if [ -n "$uninstall" ]; then uninstall_all; else install_all; fi
