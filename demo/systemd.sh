#!/usr/bin/env bash
# npm run demo -- --systemd: in a container a Debian boots whose systemd runs a VM as a unit, with vmsecretd beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source demo/show.sh
source demo/install.sh

title 'What is needed'
[[ $(id -u) -eq 0 ]] || fail 'A container with a systemd of its own needs root: run this again as root.'
install_program debootstrap debootstrap
install_program systemd-nspawn systemd-container
install_program script bsdutils
install_program flock util-linux
install_project
exec node dist/demo/play-on-systemd.js
