# How a demo talks: a title, a remark, a command that is shown and then run. Colours only on a terminal, never with NO_COLOR.

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi

title() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
say() { printf '%s# %s%s\n' "$DIM" "$*" "$PLAIN"; }
fail() {
  printf '%s%s%s\n' "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# run COMMAND: shows the very text that it runs.
run() {
  printf '%s$ %s%s\n' "$GREEN" "$1" "$PLAIN"
  eval "$1"
}

# run_failing STATUS COMMAND: the same for a command that is expected to end with STATUS.
run_failing() {
  local status=0
  run "$2" || status=$?
  [[ $status -eq $1 ]] || fail "expected exit status $1, got $status"
  say "exit status $status"
}

# wait_until SECONDS COMMAND: until the command succeeds.
wait_until() {
  local deadline=$((SECONDS + $1))
  until eval "$2" 2>/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}
