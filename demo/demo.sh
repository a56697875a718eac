#!/usr/bin/env bash
# npm run demo: a VM starts with its secrets, and they are nowhere else. With -v every command is shown as it is run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
VERBOSE=''
case "${1:-}" in
  '') ;;
  -v | --verbose) VERBOSE=yes ;;
  --guest)
    [[ ${2:-} == debian ]] || { echo 'npm run demo: the only other guest is debian; run: npm run demo -- --guest debian' >&2 && exit 1; }
    exec bash demo/debian.sh
    ;;
  --systemd) exec bash demo/systemd.sh ;;
  *)
    echo "npm run demo: unknown option ${1}; it takes -v, --guest debian and --systemd" >&2
    exit 1
    ;;
esac
source demo/show.sh
source demo/install.sh
source demo/daemon.sh

title '1. Programs'
install_program curl curl
install_project
choose_hypervisor
step "$HYPERVISOR and Node $(node --version | tr -d v)"

title '2. A key, and two secrets encrypted to it'
say 'With the age program: age-keygen -o $D/key.txt, and age -r $RECIPIENT -o FILE'
run 'D=$(mktemp -d /tmp/vmsecretd-demo.XXXXXX)'
run 'RECIPIENT=$(node dist/demo/age.js keygen $D/key.txt)'
run 'API_KEY=$(head -c 24 /dev/urandom | base64)'
run 'printf "%s\n" "$API_KEY" | node dist/demo/age.js encrypt $RECIPIENT $D/api-key.age'
run 'DB_PASSWORD="a,b]\"c $(head -c 12 /dev/urandom | base64)"'
run 'printf "%s\n" "$DB_PASSWORD" | node dist/demo/age.js encrypt $RECIPIENT $D/db-password.age'
run 'ls -l $D && head -n 1 $D/api-key.age'
step "two secrets, encrypted with age, in $D"

title '3. The daemon'
start_daemon
step "a daemon of its own in $D/run"

title '4. A definition: a command line, and where its credentials come from'
run 'node dist/demo/write-guest.js --digests $D/guest'
say 'The guest is a kernel of some 1,100 bytes that prints the SHA-256 of each SMBIOS string it finds. A Linux guest is defined alike.'
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
  "identities": ["$D/key.txt"],
  "credentials": {
    "API_KEY": {"age": "$D/api-key.age", "trim": "newline"},
    "DB_PASSWORD": {"age": "$D/db-password.age", "trim": "newline"}
  }
}
JSON
run 'cat $D/demo.json'
run 'vmsecretctl define demo $D/demo.json'
step 'a definition: a command line and two credentials'

title '5. The VM starts'
STARTED=$(date +%s%N)
show 'vmsecretctl start demo'
START_MS=$((($(date +%s%N) - STARTED) / 1000000))
run 'vmsecretctl show demo'

title '6. The guest has its credentials'
say 'An OEM string carries a value as base64.'
wait_until 10 'call http://localhost/v1/vms/demo/console | grep -q "END OF OEM STRINGS"' || fail 'the guest printed nothing'
show 'vmsecretctl console demo --no-follow'
run 'printf %s "$API_KEY" | base64 -w 0 | sha256sum; printf %s "$DB_PASSWORD" | base64 -w 0 | sha256sum'
digest_of() { printf %s "$1" | base64 -w 0 | sha256sum | cut -d ' ' -f 1; }
for credential in "API_KEY=$(digest_of "$API_KEY")" "DB_PASSWORD=$(digest_of "$DB_PASSWORD")"; do
  vmsecretctl console demo --no-follow | tr -d '\r' | grep -qx "io.systemd.credential.binary:$credential" || fail "the guest has no $credential"
done
step 'the guest printed the SHA-256 of what it received: both secrets are right'

title '7. They are nowhere else, while the VM runs'
say "Both secrets, plain and as base64, in every process's command line and environment and every file that the daemon wrote."
SEARCH='printf "%s\n" "$API_KEY" "$DB_PASSWORD" | node dist/demo/find-secret.js $D/run $D/state $D/log'
FOUND=$(eval "$SEARCH") || fail "$FOUND"
[[ -z $VERBOSE ]] || printf '$ %s\n%s\n' "$SEARCH" "$FOUND"
step "searched for both, plain and as base64: $FOUND"
say 'Would it find one? Two are planted.'
run 'PLANTED_KEY="$API_KEY" sleep 30 & PLANTED=$!'
run 'printf %s "$DB_PASSWORD" | base64 >$D/state/planted'
PLANTS=$(expect_status 1 eval "$SEARCH")
[[ -z $VERBOSE ]] || printf '$ %s\n%s\n' "$SEARCH" "$PLANTS"
[[ $PLANTS == *"/proc/$PLANTED/environ"* && $PLANTS == *"$D/state/planted"* ]] || fail "the search misses planted copies: $PLANTS"
run 'rm $D/state/planted; kill $PLANTED'
wait "$PLANTED" 2>/dev/null || true
step 'the same search finds copies planted in an environment and in a file'

title '8. The VM stops'
show 'vmsecretctl stop demo'
run 'vmsecretctl list'

title '9. A secret that is missing'
run 'mv $D/db-password.age $D/db-password.age.old'
expect_status 1 show 'vmsecretctl start demo' 2>&1
run 'vmsecretctl list'
[[ $(vmsecretctl list --json) != *'"state":"running"'* ]] || fail 'the VM runs without a secret'
step 'without one of its secrets the VM does not start'

title '10. Everything ends'
run 'kill $DAEMON; wait $DAEMON'
run 'rm -r $D'
DEMO_FOLDER=$D DAEMON='' D=''
step "the VM, the daemon and $DEMO_FOLDER are gone"

cat <<END

${BOLD}A VM started with its secrets, and they were nowhere else.$PLAIN
2 secrets · vmsecretctl start took $START_MS ms · $FOUND
Next: docs/first-vm.md does the same by hand, docs/nixos.md and docs/install.md put it on a host.
END
[[ -n $VERBOSE ]] || echo 'Every command of this demo: npm run demo -- -v'
