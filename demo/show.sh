# How a demo talks: a title, a remark, a command that is shown and then run. Colours only on a terminal, never with NO_COLOR.
# Without VERBOSE only `step`, `show` and `fail` print.

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi
VERBOSE=${VERBOSE-yes}

title() { [[ -z $VERBOSE ]] || printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
say() { [[ -z $VERBOSE ]] || printf '%s# %s%s\n' "$DIM" "$*" "$PLAIN"; }
fail() {
  printf '%s%s%s\n' "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# step TEXT: what was done.
step() { printf '%s✓%s %s\n' "$GREEN" "$PLAIN" "$*"; }

# show COMMAND: prints the very text that it runs.
show() {
  printf '%s$ %s%s\n' "$GREEN" "$1" "$PLAIN"
  eval "$1"
}

# run COMMAND: the same for what only a verbose demo shows.
run() {
  if [[ -n $VERBOSE ]]; then
    show "$1"
  else
    local output
    # In this shell, since a command may set variables or start what runs on.
    output=$(mktemp)
    if eval "$1" >"$output" 2>&1; then
      rm "$output"
    else
      local status=$?
      printf '$ %s\n' "$1" >&2
      cat "$output" >&2
      rm "$output"
      return "$status"
    fi
  fi
}

# expect_status STATUS COMMAND...: runs a command that is expected to end with STATUS.
expect_status() {
  local expected=$1 status=0
  shift
  "$@" || status=$?
  [[ $status -eq $expected ]] || fail "expected exit status $expected, got $status"
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
