#!/usr/bin/env bash
# The full counts of what `npm test` does in short: an hour or so. Seeds are printed; VMSECRETD_SEED repeats one.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# What failed is shown in full, and the rest is run all the same.
run() {
  npx tap --reporter=tap --timeout=5400 "$@" | tee "$log" | grep -E '^(# Subtest|ok|not ok|# \{|    (not )?ok)|seed' && return
  status=1
  grep -E -A 60 '^ {8,}not ok' "$log" || true
}

# Property tests of every parser, and the lifecycle's model.
VMSECRETD_ROUNDS=5000 run dist/test/definition/*.test.js dist/test/credentials/*.test.js \
  dist/test/hypervisor/cloud-hypervisor/{option-string,create-body,to-command}.test.js \
  dist/test/secrets/decrypt.test.js dist/test/reports/receipt.test.js dist/test/supervisor/daemon/lifecycle.model.test.js dist/test/json-keys.test.js dist/test/fuzz/*.test.js
# The daemon killed in the middle of random requests.
VMSECRETD_KILL_ROUNDS="${VMSECRETD_KILL_ROUNDS:-200}" run dist/test/integration/kill-rounds.test.js
# VMs, daemon, deliverer and VMMs signalled, and definitions, secrets and disks changed in the middle of verbs.
VMSECRETD_CHAOS_ROUNDS="${VMSECRETD_CHAOS_ROUNDS:-100}" run dist/test/integration/chaos.test.js
# The same under systemd.
VMSECRETD_ROUNDS=20 run dist/test/systemd/adoption.test.js
VMSECRETD_CHAOS_ROUNDS="${VMSECRETD_CHAOS_ROUNDS:-100}" run dist/test/systemd/chaos.test.js
# A hundred starts at once, VMMs killed in the middle of requests, a thousand definitions; a full disk and a read-only one.
VMSECRETD_LOAD=full run dist/test/integration/{load,storage}.test.js
# A thousand starts with an error of each code between them, and the search for the secret.
VMSECRETD_LEAK_ROUNDS=1000 run dist/test/integration/leak-rounds.test.js
# New secrets in running guests of each Debian, paused and reset in the middle.
VMSECRETD_SUITES='bookworm trixie sid' run dist/test/guests/debian/refresh.test.js
# Three nodes with Pacemaker, of which one is lost; machinectl of a later systemd. Each builds a Debian of its own.
run dist/test/soak/{pacemaker,machined-261}.js
# The Debian package on Debian 13, from installation to purge.
VMSECRETD_PACKAGES=1 run dist/test/systemd/packages.test.js
# Whatever openapi.json allows and forbids, where schemathesis is installed.
VMSECRETD_CASES=5000 run dist/test/soak/schemathesis.js
exit $status
