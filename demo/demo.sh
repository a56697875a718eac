#!/usr/bin/env bash
# npm run demo: a VM starts with its secrets, and they are nowhere else. Every command is shown, then run as it was shown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source demo/show.sh
source demo/install.sh
source demo/daemon.sh

case "${1:-}" in
  '') ;;
  --guest)
    [[ ${2:-} == debian ]] || fail 'npm run demo knows one other guest: --guest debian'
    exec bash demo/debian.sh
    ;;
  --systemd) exec bash demo/systemd.sh ;;
  *) fail "npm run demo takes no ${1}; without an option it shows a VM that starts with its secrets, with --guest debian one whose systemd reads them, with --systemd VMs as units of a host" ;;
esac

title '1. What is needed'
install_program curl curl
install_project
choose_hypervisor

title '2. A key and two secrets, encrypted to it'
say 'With the age program: age-keygen -o $D/key.txt, and age -r $RECIPIENT -o FILE'
run 'D=$(mktemp -d /tmp/vmsecretd-demo.XXXXXX)'
run 'RECIPIENT=$(node dist/demo/age.js keygen $D/key.txt)'
run 'API_KEY=$(head -c 24 /dev/urandom | base64)'
run 'printf "%s\n" "$API_KEY" | node dist/demo/age.js encrypt $RECIPIENT $D/api-key.age'
run 'DB_PASSWORD="a,b]\"c $(head -c 12 /dev/urandom | base64)"'
run 'printf "%s\n" "$DB_PASSWORD" | node dist/demo/age.js encrypt $RECIPIENT $D/db-password.age'
run 'ls -l $D && head -n 1 $D/api-key.age'

title '3. The daemon'
start_daemon

title '4. A definition: a command line, and where its credentials come from'
run 'node dist/demo/write-guest.js $D/guest'
say 'The guest is a kernel of a few hundred bytes that prints the SMBIOS strings it finds. A Linux guest is declared alike.'
if [[ $HYPERVISOR == qemu ]]; then
  COMMAND='"-kernel", "'$D'/guest", "-m", "64", "-nodefaults"'
else
  COMMAND='"--kernel", "'$D'/guest", "--memory", "size=64M", "--serial", "tty", "--console", "off"'
fi
cat >"$D/demo.json" <<JSON
{
  "hypervisor": "$HYPERVISOR",
  "supervisor": "daemon",
  "command": [$COMMAND],
  "oemStrings": ["io.systemd.credential:ENVIRONMENT=demo"],
  "identities": ["$D/key.txt"],
  "credentials": {
    "API_KEY": {"age": "$D/api-key.age", "trim": "newline"},
    "DB_PASSWORD": {"age": "$D/db-password.age", "trim": "newline"}
  }
}
JSON
run 'cat $D/demo.json'
run 'curl -sS --unix-socket $D/run/admin.sock -X PUT http://localhost/v1/vms/demo -H "content-type: application/json" --data @$D/demo.json -o /dev/null -w "%{http_code}\n"'

title '5. The VM starts'
run 'curl -sS --unix-socket $D/run/admin.sock -X POST http://localhost/v1/vms/demo/start -o /dev/null -w "%{http_code}\n"'
run 'vmsecretctl show demo'

title '6. What the guest printed: it has its credentials'
wait_until 10 'call http://localhost/v1/vms/demo/console | grep -q "END OF OEM STRINGS"' || fail 'the guest printed nothing'
run 'curl -sS --unix-socket $D/run/admin.sock http://localhost/v1/vms/demo/console'
say 'The same, decoded:'
run 'curl -sS --unix-socket $D/run/admin.sock http://localhost/v1/vms/demo/console | node dist/demo/decode-console.js'

title '7. And they are nowhere else, while the VM runs'
say "Both secrets, plain and as base64, in every process's command line and environment and every file that the daemon wrote."
say 'Left out is the console, where this guest prints what it was given.'
SEARCH='printf "%s\n" "$API_KEY" "$DB_PASSWORD" | node dist/demo/find-secret.js --except $D/run/logs/demo.console.log $D/run $D/state $D/log'
run "$SEARCH" || fail 'a secret is where it must not be'
say 'Would it find one? Let us plant two:'
run 'PLANTED_KEY="$API_KEY" sleep 30 & PLANTED=$!'
run 'printf %s "$DB_PASSWORD" | base64 >$D/state/planted'
run_failing 1 "$SEARCH"
run 'rm $D/state/planted; kill $PLANTED'
wait "$PLANTED" 2>/dev/null || true

title '8. The VM stops'
run 'curl -sS --unix-socket $D/run/admin.sock -X POST http://localhost/v1/vms/demo/stop -o /dev/null -w "%{http_code}\n"'
run 'vmsecretctl list'

title '9. What you will meet one day: a secret is missing'
run 'mv $D/db-password.age $D/db-password.age.old'
run 'curl -sS --unix-socket $D/run/admin.sock -X POST http://localhost/v1/vms/demo/start && echo'
say 'Nothing was started. The same from the command line:'
run_failing 1 'vmsecretctl start demo'
run 'vmsecretctl list'

title '10. Everything ends'
run 'kill $DAEMON; wait $DAEMON'
run 'rm -r $D'
DAEMON='' D=''
title 'A VM started with its secrets, and they were nowhere else.'
