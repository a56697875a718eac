#!/usr/bin/env bash
# npm run demo -- --guest debian: Debian boots under QEMU, its systemd finds the secrets, a service reads them, and the guest
# acknowledges them to the host. Every command is shown, then run as it was shown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source demo/show.sh
source demo/install.sh
source demo/daemon.sh

title '1. What is needed'
[[ $(id -u) -eq 0 ]] || fail 'The Debian guest is built with debootstrap, which needs root: run this again as root.'
install_program curl curl
install_program qemu-system-x86_64 qemu-system-x86
install_program debootstrap debootstrap
install_program cpio cpio
install_program zstd zstd
install_project
run 'D=$(mktemp -d /tmp/vmsecretd-demo.XXXXXX)'
say 'Debian 12, from its own packages, as an initramfs: the first time it is built and kept, which takes a minute or two.'
run 'node dist/demo/write-debian-guest.js $D'

title '2. Two secrets, encrypted'
run 'RECIPIENT=$(node dist/demo/age.js keygen $D/key.txt)'
run 'API_KEY=$(head -c 24 /dev/urandom | base64)'
run 'printf "%s\n" "$API_KEY" | node dist/demo/age.js encrypt $RECIPIENT $D/api-key.age'
run 'head -c 5000 /dev/urandom | tee $D/binary | node dist/demo/age.js encrypt $RECIPIENT $D/db-password.age'

title '3. The daemon'
start_daemon

title '4. The definition, and the unit in the guest'
cat >"$D/demo.json" <<JSON
{
  "hypervisor": "qemu",
  "supervisor": "daemon",
  "command": ["-kernel", "$D/vmlinuz", "-initrd", "$D/initramfs", "-m", "512", "-cpu", "max", "-nodefaults", "-no-reboot",
    "-append", "console=ttyS0 quiet loglevel=1 systemd.show_status=false systemd.log_target=kmsg systemd.getty_auto=no"],
  "oemStrings": ["io.systemd.credential:ENVIRONMENT=demo"],
  "identities": ["$D/key.txt"],
  "credentials": {
    "API_KEY": {"age": "$D/api-key.age", "trim": "newline"},
    "DB_PASSWORD": {"age": "$D/db-password.age"}
  },
  "ready": "receipt"
}
JSON
run 'cat $D/demo.json'
say 'In the guest my-app.service has LoadCredential=api-key:API_KEY and db-password:DB_PASSWORD, and knows nothing of vmsecretd.'
run 'vmsecretctl define demo $D/demo.json'

title '5. The VM starts; the call ends when the guest has acknowledged every credential'
run 'time vmsecretctl start demo --wait ready'
run 'vmsecretctl show demo'

title '6. What the service in the guest says'
wait_until 60 'call http://localhost/v1/vms/demo/console | grep -q "my-app: that is all"' || fail 'my-app printed nothing'
run 'curl -sS --unix-socket $D/run/admin.sock http://localhost/v1/vms/demo/console'
say 'The same of what went in:'
run 'printf %s "$API_KEY" | sha256sum | cut -c 1-16; sha256sum <$D/binary | cut -c 1-16'
call http://localhost/v1/vms/demo/console | grep -q "api-key.*$(printf %s "$API_KEY" | sha256sum | cut -c 1-16)" || fail 'API_KEY differs'
call http://localhost/v1/vms/demo/console | grep -q "db-password.*$(sha256sum <"$D/binary" | cut -c 1-16)" || fail 'DB_PASSWORD differs'

title '7. Everything ends'
run 'vmsecretctl kill demo'
run 'kill $DAEMON; wait $DAEMON'
run 'rm -r $D'
DAEMON='' D=''
title 'Debian booted with its secrets, and said so.'
