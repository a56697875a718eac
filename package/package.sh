#!/usr/bin/env bash
# npm run package: writes dist/packages: a .deb, a tarball and an npm package with the same content. The same commit gives the same
# bytes, at any umask. Needs dpkg-deb for the .deb and git for the commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022

version=$(node -p 'require("./package.json").version')
commit=$(git rev-parse HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$PWD/dist/packages
rm -rf "$out"
mkdir -p "$out"

# tar_of FOLDER: a tar archive of it that depends on its content alone.
tar_of() {
  tar --create --directory "$(dirname "$1")" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --format=gnu "$(basename "$1")"
}

# What all packages contain. The bundles include the npm packages that they need, so that nothing else is installed.
tree=$work/vmsecretd-$version
mkdir -p "$tree/dist" "$tree/src/system"
cp -R dist/bundle dist/share "$tree/dist/"
cp src/system/host-programs.json "$tree/src/system/"
cp -R docs guest systemd nixos-module examples README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE "$tree/"
rm -f "$tree"/docs/*.{ts,nix,sh}
node package/write-manifest.cjs "$commit" >"$tree/package.json"
npm run --silent sbom | node package/write-sbom.cjs "$SOURCE_DATE_EPOCH" >"$tree/sbom.cdx.json"
chmod -R u=rwX,go=rX "$tree"

tar_of "$tree" | gzip --no-name --best >"$out/vmsecretd-$version.tar.gz"

(cd "$tree" && npm pack --silent --offline --pack-destination "$out" >/dev/null)

command -v dpkg-deb >/dev/null || { echo 'npm run package: dpkg-deb is missing, so there is no .deb; on Debian install dpkg' >&2 && exit 1; }
root=$work/deb
NODE=/usr/bin/node DESTDIR=$root "$tree/systemd/install.sh" --prefix /usr >/dev/null
library=$root/usr/lib/vmsecretd
documentation=$root/usr/share/doc/vmsecretd
mkdir -p "$documentation" "$root/usr/share/lintian/overrides" "$root/DEBIAN"
for page in docs examples guest README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md; do
  mv "$library/$page" "$documentation/"
  ln -s "../../share/doc/vmsecretd/$page" "$library/$page"
done
rm "$library/LICENSE" "$documentation/CHANGELOG.md"
ln -s ../../share/doc/vmsecretd/changelog.gz "$library/CHANGELOG.md.gz"
cp package/debian/copyright "$documentation/copyright"
gzip --no-name --best <CHANGELOG.md >"$documentation/changelog.gz"
sed "s/@VERSION@/$version/; s/@DATE@/$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")/" package/debian/changelog |
  gzip --no-name --best >"$documentation/changelog.Debian.gz"
cp "$tree/sbom.cdx.json" "$documentation/"
cp package/debian/lintian-overrides "$root/usr/share/lintian/overrides/vmsecretd"
find "$root/usr/share/man" -type f -exec gzip --no-name --best {} +
for script in postinst prerm postrm; do install -m 755 "package/debian/$script" "$root/DEBIAN/$script"; done
size=$(du --apparent-size --summarize --block-size=1024 "$root/usr" | cut -f 1)
sed "s/@VERSION@/$version/; s/@SIZE@/$size/" package/debian/control >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod -R u=rwX,go=rX "$root"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/vmsecretd_$version-1_all.deb" >/dev/null

(cd "$out" && sha256sum ./*)
