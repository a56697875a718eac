#!/bin/bash
# build.sh [SUITE]: makes a Debian guest (kernel, initramfs of a pruned root filesystem, a cpio with kubectl, one with perl) from
# Debian's packages alone, keeps it in a cache outside the project, and prints its folder. Needs root, debootstrap, cpio and zstd; about a minute.
set -euo pipefail

suite=${1:-bookworm}
cache=${VMSECRETD_TEST_CACHE:-${XDG_CACHE_HOME:-/var/cache}/vmsecretd-test}
image=$cache/debian-$suite-$(sha256sum "$0" | cut -c 1-12)

fail() {
  echo "build.sh: $*" >&2
  exit 1
}

# The packages with the cloud kernel, its modules and kubectl: one each in Debian 12, more behind meta packages later.
needed_packages() {
  chroot "$1" apt-cache depends --recurse --no-recommends --no-suggests linux-image-cloud-amd64 kubernetes-client |
    grep -x 'linux-\(image\|binary\|modules\|base\)-[0-9].*-cloud-amd64\|kubernetes-client\|kubectl' | sort -u
}

# Debian's mirror as this machine's apt has it; empty: debootstrap's own.
mirror() {
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }'
}

# What a guest that boots, reads credentials and powers off has no use for.
prune() {
  rm -rf "$1"/usr/share/{doc,doc-base,man,locale,info,i18n,zoneinfo,perl,perl5,bash-completion,zsh,common-licenses,gcc,gdb,keyrings} \
    "$1"/usr/share/{lintian,bug,polkit-1,tabset,pixmaps,menu,misc,debconf,dpkg,adduser,bcc} \
    "$1"/usr/lib/x86_64-linux-gnu/{perl*,gconv,krb5,e2fsprogs} \
    "$1"/usr/lib/x86_64-linux-gnu/lib{apt-pkg,apt-private,stdc++,db-5,gnutls,unistring,hogweed,nettle,mvec,idn2,gmp,semanage,sepol,xxhash,ext2fs,perl}*.so* \
    "$1"/usr/lib/{apt,dpkg,debug,udev/hwdb.d,udev/hwdb.bin,systemd/boot,systemd/catalog,systemd/portable,locale,python3*} \
    "$1"/usr/bin/{perl*,apt*,dpkg*,gpgv,localedef,pzstd,zstd*,cpio,systemd-repart,systemd-analyze,systemd-cryptenroll,tar,lsblk,lsfd} \
    "$1"/usr/sbin/{apt*,dpkg*,e2*,mke2fs,mkfs*,fsck*,resize2fs,debugfs,tune2fs,dumpe2fs,fdisk,cfdisk,sfdisk,zic,ldconfig} \
    "$1"/var/{cache,log,lib/apt,lib/dpkg}/* "$1"/var/lib/systemd/catalog "$1"/{boot,media,opt,srv,home}/* "$1"/tmp/*
  # Without these, boot would wait for disks, networks and terminals that are not there.
  rm -f "$1"/usr/lib/systemd/system/*.wants/{systemd-networkd-wait-online,systemd-hwdb-update,systemd-journal-catalog-update}.service
  rm -rf "$1"/etc/systemd/system/{getty.target.wants,timers.target.wants,network-online.target.wants,multi-user.target.wants/e2scrub_reap.service}
}

configure() {
  ln -sf usr/lib/systemd/systemd "$1/init"
  echo guest >"$1/etc/hostname"
  echo 127.0.0.1 localhost >"$1/etc/hosts"
  echo 000102030405060708090a0b0c0d0e0f >"$1/etc/machine-id" # not a first boot
  touch "$1/etc/.updated" "$1/var/.updated"
}

# The few drivers of the cloud kernel that the guest's devices need; the rest are 90 MB.
copy_modules() {
  local version module
  version=$(basename "$1"/usr/lib/modules/*)
  for module in virtio virtio_ring virtio_pci virtio_pci_modern_dev virtio_pci_legacy_dev virtio_console virtio_net net_failover failover \
    vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport button evdev serio libps2 i8042 atkbd; do
    (cd "$1" && find "usr/lib/modules/$version" -name "$module.ko*" -exec cp --parents -t "$2" {} +)
  done
  find "$1/usr/lib/modules/$version" -maxdepth 1 -name 'modules.*' -exec cp -t "$2/usr/lib/modules/$version/" {} +
  chroot "$2" depmod "$version"
}

pack() {
  (cd "$1" && find . -xdev -mindepth 1 | cpio -o -H newc -R 0:0 --quiet | zstd -q -15 -T0 -o "$2")
}

print_cached() { [ ! -d "$image" ] || { echo "$image"; exit; }; }

print_cached
[ "$(id -u)" = 0 ] || fail 'debootstrap needs root'
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
print_cached # built by another run meanwhile

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
{
  debootstrap --variant=minbase --include=systemd-sysv,udev,kmod "$suite" "$work/root" $(mirror)
  chroot "$work/root" sh -c "cd /tmp && apt-get -q download $(needed_packages "$work/root" | tr '\n' ' ')"
} >"$cache/build-$suite.log" 2>&1 || fail "see $cache/build-$suite.log"
for package in "$work"/root/tmp/*.deb; do dpkg-deb -x "$package" "$work/packages"; done
[ ! -d "$work/packages/lib" ] || cp -r "$work/packages/lib" "$work/packages/usr/"
mkdir "$work/perl"
# Debian's guests have perl: it is essential.
(cd "$work/root" && cp --parents -r -t "$work/perl" usr/bin/perl usr/lib/x86_64-linux-gnu/perl-base)
prune "$work/root"
configure "$work/root"
copy_modules "$work/packages" "$work/root"

mkdir "$work/image" "$work/kubectl" "$work/kubectl/usr" "$work/kubectl/usr/bin"
# Among its modules since Debian 14.
find "$work"/packages/boot "$work"/packages/usr/lib/modules -name 'vmlinuz*' -exec cp {} "$work/image/vmlinuz" \; 2>/dev/null || true
[ -s "$work/image/vmlinuz" ] || fail "no kernel in the packages of $suite"
cp "$work/packages/usr/bin/kubectl" "$work/kubectl/usr/bin/"
pack "$work/root" "$work/image/root.cpio.zst"
pack "$work/kubectl" "$work/image/kubectl.cpio.zst"
pack "$work/perl" "$work/image/perl.cpio.zst"
mv "$work/image" "$image"
echo "$image"
