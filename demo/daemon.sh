# shellcheck shell=bash
# A daemon of the demo's own, in the folder $D, and the end of everything. Sourced after show.sh.

call() { curl --silent --show-error --unix-socket "$D/run/admin.sock" "$@"; }

# A daemon that was killed left its VMM, and a record of it.
kill_recorded_vmm() {
  local pid
  [[ -f ${D:-}/run/records/demo.json ]] || return 0
  pid=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).pid' "$D/run/records/demo.json")
  if grep -qsF "$D/" "/proc/$pid/cmdline"; then kill -KILL "$pid"; fi
}

# Whatever happened: no VMM, no daemon, no folder is left.
clean_up() {
  local status=$?
  trap '' INT TERM
  if [[ -n ${PLANTED:-} ]]; then kill "$PLANTED" 2>/dev/null || true; fi
  if [[ -n ${DAEMON:-} ]] && kill -0 "$DAEMON" 2>/dev/null; then
    call -o /dev/null -X POST http://localhost/v1/vms/demo/kill 2>/dev/null || true
    kill "$DAEMON" 2>/dev/null || true
    wait "$DAEMON" 2>/dev/null || true
  fi
  kill_recorded_vmm
  if [[ $status -ne 0 && -s ${D:-}/log/daemon.log ]]; then
    printf '\nThe demo ended with status %s. The last lines of the daemon:\n' "$status" >&2
    tail -n 5 "$D/log/daemon.log" >&2
  fi
  if [[ -n ${D:-} ]]; then rm -rf "$D"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_daemon() {
  run 'mkdir $D/log'
  # In a process group of its own, so that Ctrl-C reaches this script alone and the VM can still be ended through the daemon.
  set -m
  run 'node dist/bundle/daemon.js --config $D/config.json --definitions $D/vms --runtime-directory $D/run --state-directory $D/state >$D/log/daemon.log 2>&1 &'
  DAEMON=$!
  set +m
  wait_until 60 '[[ -S $D/run/admin.sock ]] || ! kill -0 $DAEMON' && kill -0 "$DAEMON" || fail 'the daemon did not start'
  run 'curl -sS --unix-socket $D/run/admin.sock http://localhost/v1/version && echo'
  run 'vmsecretctl() { node dist/bundle/vmsecretctl.js --socket $D/run/admin.sock "$@"; }'
}
