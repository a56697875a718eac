# Sourced by test/systemd/launch-races.test.ts after vm-host.ts's functions. A lie prints the status and the answer it got,
# and `tell LIE…` tells many at once, each after `== LIE`. VMM is the pid of demo's VMM, OTHER that of other's, GONE a pid
# that VMM had before.
microvm=$(id -u microvm)
lies=/opt/lies

prepare_lies() {
  mkdir -p $lies/out
  chmod 755 $lies
  cp /project/test/systemd/programs/imposter.pl $lies/imposter.pl
  # By this name its command line is a launcher's.
  cp $lies/imposter.pl $lies/vmsecretd-launch
  # ns_last_pid; the container shows it read-only.
  mount -o remount,bind,rw /proc/sys 2> /dev/null || mount -o remount,rw /proc/sys
}

# Of each hierarchy, one of which is systemd's; without a path their roots. While a unit is restarted its cgroup may go in
# between, and the lie is told from outside.
enter() {
  for root in '' /systemd /unified; do
    [ -e "/sys/fs/cgroup$root/cgroup.procs" ] || continue
    { mkdir -p "/sys/fs/cgroup$root$1" && echo 0 > "/sys/fs/cgroup$root$1/cgroup.procs"; } 2> /dev/null
  done
}
launcher() { exec env KNOCK=demo "$@" perl $lies/vmsecretd-launch demo < /dev/null; }
other_command() { exec env KNOCK=demo "$@" perl $lies/imposter.pl < /dev/null; }
own_cgroup() { enter "$(unit demo ControlGroup)"; }

lie_curls_pid() { other_command AS="$microvm"; }
lie_vmms_pid() { other_command SAYS="$VMM" AS="$microvm"; }
lie_vmms_thread() { other_command SAYS="$(find "/proc/$VMM/task" -mindepth 1 -maxdepth 1 2> /dev/null | tail -n 1 | grep -o '[0-9]*$' || echo "$VMM")"; }
lie_other_vmms_pid() { other_command SAYS="$OTHER"; }
lie_other_units_pid() { other_command SAYS="$(systemctl show dbus --property MainPID --value)"; }
lie_no_such_pid() { other_command SAYS=4000000; }
lie_zombie() { launcher ZOMBIE=1; }
lie_outside() { launcher AS="$microvm"; }
lie_rewritten_command() { other_command AS="$microvm" ARGV='/bin/sh|/usr/local/bin/vmsecretd-launch|demo'; }
lie_same_last_component() { enter /lies.slice/microvm@demo.service; launcher AS="$microvm"; }
lie_below_the_unit() { enter "$(unit demo ControlGroup)/microvm@demo.service"; launcher AS="$microvm"; }
lie_beside_the_vmm() { own_cgroup; launcher AS="$microvm"; }
lie_other_units_cgroup() { enter "$(unit other ControlGroup)"; launcher AS="$microvm"; }
lie_launcher_of_other() { own_cgroup; KNOCK=demo exec perl $lies/vmsecretd-launch other < /dev/null; }
lie_no_separator() { own_cgroup; KNOCK=demo exec perl $lies/vmsecretd-launch demo + < /dev/null; }
# shellcheck disable=SC2046
lie_many_arguments() { own_cgroup; KNOCK=demo exec perl $lies/vmsecretd-launch demo -- $(seq 12000) < /dev/null; }
lie_huge_command() { own_cgroup; launcher AS="$microvm" ARGV='/bin/sh|/usr/local/bin/vmsecretd-launch|demo' HUGE=67108864; }
lie_deep_folder() { own_cgroup; launcher DEEP="$(mktemp -d)"; }
lie_renamed_folder() { own_cgroup; launcher MOVED="$(mktemp -d)"; }
lie_name_with_uid() { own_cgroup; launcher AS=65534 NAME='x\rUid:\t0\t0\t0\t'; }
lie_exec_in_between() { own_cgroup; launcher FLIPS=20; }
lie_reused_pid() { launcher TAKE="$GONE,$(sh -c 'echo $$')" AS="$microvm"; }
lie_reused_pid_in_the_unit() { own_cgroup; launcher TAKE="$(sh -c 'echo $$'),$(sh -c 'echo $$')" AS="$microvm"; }
lie_other_network() { own_cgroup; exec unshare --net env KNOCK=demo AS="$microvm" perl $lies/vmsecretd-launch demo < /dev/null; }
lie_other_pids() { exec unshare --pid --fork sh -c "KNOCK=demo perl $lies/vmsecretd-launch demo < /dev/null; true"; }
lie_pid_of_root() { launcher SAYS=1; }
lie_fraction() { launcher SAYS=1234.5; }
lie_text() { launcher SAYS='"1234"'; }
lie_two_pids() { launcher SAYS="$VMM, \"pid\": $VMM"; }
lie_too_large() { launcher SAYS=99999999999999999999; }
lie_unknown_vm() { KNOCK=nobody exec perl $lies/vmsecretd-launch nobody < /dev/null; }

tell_all() {
  for lie in "$@"; do
    ("lie_$lie" > $lies/out/"$lie" 2> $lies/out/"$lie.errors") &
    eval "pid_$lie=$!"
  done
  for lie in "$@"; do
    # Which would tell here of one that was killed.
    eval "wait \$pid_$lie" 2> /dev/null
    printf '\n== %s\n' "$lie"
    cat $lies/out/"$lie" $lies/out/"$lie.errors"
  done
}

# restart_in_a_storm SECONDS LIE…: demo's unit is restarted so much later, while somebody names each of its processes.
restart_in_a_storm() {
  delay=$1
  shift
  touch /run/storm
  # systemd starts a unit five times in ten seconds, and no more (StartLimitBurst=).
  systemctl reset-failed microvm@demo
  (sleep "$delay"; exec timeout 45 systemctl restart microvm@demo) &
  restart=$!
  (lie_storm > $lies/out/storm 2>&1) &
  storm=$!
  tell_all "$@"
  wait $restart || diagnose
  rm /run/storm
  wait $storm
  printf '\n== storm\n'
  cat $lies/out/storm
}
lie_storm() {
  for root in '' /systemd /unified; do
    procs="/sys/fs/cgroup$root$(unit demo ControlGroup)/cgroup.procs"
    [ ! -e "$procs" ] || break
  done
  other_command STORM=/run/storm PROCS="$procs" AS=65534
}
daemon_log() { journalctl --unit vmsecretd --output cat --no-pager; }

# A VM whose unit the test runs itself.
define_liar() {
  define "$1" stay
  sed -i "1s|{|{ \"unit\": \"liar-$1.service\", \"startTimeoutSeconds\": 3,|" "/etc/vmsecretd/vms/$1.json"
}
# liar NAME VARIABLE=VALUE…: becomes the main process of that unit.
liar() {
  name=$1
  shift
  set -- "KNOCK=$name" "$@"
  for variable; do
    shift
    set -- "$@" "--setenv=$variable"
  done
  exec timeout 30 systemd-run --quiet --wait --pipe --collect --unit "liar-$name" \
    --property RuntimeDirectory="vmsecretd/vms/$name" "$@" perl $lies/vmsecretd-launch "$name" < /dev/null
}
lie_main_deep() { liar deep DEEP="$(mktemp -d)"; }
lie_main_huge() { liar huge ARGV='/bin/sh|/usr/local/bin/vmsecretd-launch|huge' HUGE=67108864; }
lie_main_separator() { liar separator ARGV='/bin/sh|/usr/local/bin/vmsecretd-launch|separator|--kernel|/k'; }
lie_main_named() { liar named ARGV='/bin/sh|/usr/local/bin/vmsecretd-launch|demo'; }
lie_main_forged() { liar forged AS=65534 NAME='x\rUid:\t0\t0\t0\t'; }
lie_main_again() { liar again LISTEN=/run/vmsecretd/vms/again/api.sock; }
lie_main_silent() { liar silent BY=child LISTEN=/run/vmsecretd/vms/silent/api.sock CAUGHT=$lies/out/caught.silent; }
lie_main_netns() { liar netns BY=child NETNS=1 LISTEN=/run/vmsecretd/vms/netns/api.sock CAUGHT=$lies/out/caught.netns; }
