# Sees to what a demo needs: packages of the lockfile, the build, curl, a VMM. Sets HYPERVISOR.

install_project() {
  if [[ ! -f node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
    run 'npm ci --no-audit --no-fund'
  fi
  if [[ ! -f dist/.tsbuildinfo || ! -d dist/share || -n $(find build src test demo bench docs package.json tsconfig.json -name '*.[tj]s*' -newer dist/.tsbuildinfo -print -quit) ]]; then
    run 'npm run --silent build && touch dist/.tsbuildinfo'
  fi
}

choose_hypervisor() {
  if command -v cloud-hypervisor >/dev/null && [[ -r /dev/kvm && -w /dev/kvm ]]; then
    HYPERVISOR=cloud-hypervisor
    say "cloud-hypervisor is on PATH and /dev/kvm can be used"
  else
    HYPERVISOR=qemu
    say "without cloud-hypervisor on PATH and a usable /dev/kvm, QEMU stands in"
    install_program qemu-system-x86_64 qemu-system-x86
  fi
}

# install_program PROGRAM PACKAGE
install_program() {
  ! command -v "$1" >/dev/null || return 0
  if command -v apt-get >/dev/null && [[ $(id -u) -eq 0 ]]; then
    run "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $2 </dev/null >/dev/null"
  else
    fail "$1 is missing. Install it, then run this again: sudo apt-get install --no-install-recommends $2"
  fi
}
