import type { Examples } from '../examples.js';

/** Every command has one; test/project/cli-pages.test.ts reads each as the program would. */
export const CLI_EXAMPLES: Examples = {
  vmsecretctl: [
    ['vmsecretctl define web web.json', 'keep a definition'],
    ['vmsecretctl start web --wait', 'start the VM, and wait until its guest is ready'],
    ['vmsecretctl --json list', 'the same answers for programs'],
  ],
  list: [
    ['vmsecretctl list', 'name, state and process of each VM'],
    ["vmsecretctl list 'web*' --state failed,stopped", 'of some VMs those that do not run'],
    ['vmsecretctl list --watch', 'as it changes'],
    ['vmsecretctl list --outdated --quiet', 'names of VMs to restart, with exit status 5'],
  ],
  show: [['vmsecretctl show web', 'one VM, and what became of it']],
  check: [
    ['vmsecretctl check web', 'would it start? does every secret open?'],
    ['vmsecretctl check --all', 'before a host is rebooted'],
  ],
  command: [['vmsecretctl command web', 'what the VMM is given']],
  convert: [
    ['vmsecretctl convert -- --kernel /boot/vmlinux --serial tty', 'the VM config of this command line'],
  ],
  start: [
    ['vmsecretctl start web db', 'two VMs at once'],
    ["vmsecretctl start 'web*'", 'every VM whose name begins so'],
    ['vmsecretctl start web --wait --timeout 60', 'fails where the guest is not ready within a minute'],
  ],
  stop: [
    ['vmsecretctl stop web --wait', 'returns when its VMM has ended'],
    ['vmsecretctl stop web -t 5', 'by force after 5 seconds'],
    ['vmsecretctl stop --all', 'before the host goes down'],
  ],
  restart: [
    ['vmsecretctl restart web', 'with the secrets of now'],
    ['vmsecretctl restart --outdated', 'after secrets were rotated'],
  ],
  reboot: [['vmsecretctl reboot web', 'the guest, with the secrets it had']],
  kill: [['vmsecretctl kill web', 'a guest that does not power off']],
  pause: [['vmsecretctl pause web', 'its memory stays where it is']],
  resume: [['vmsecretctl resume web', 'after a pause']],
  run: [
    ['vmsecretctl run web', 'for runit, supervisord or CI'],
    ['vmsecretctl run job job.json --rm', 'a VM for one run'],
  ],
  wait: [
    ['vmsecretctl wait web', 'until it has stopped; status 1 where it failed'],
    ['vmsecretctl wait web db --for ready -t 60', 'whoever starts them'],
  ],
  refresh: [
    ['vmsecretctl refresh web', 'new secrets into its guest, without a restart of the VM'],
    ['vmsecretctl refresh --outdated', 'after secrets were rotated'],
  ],
  define: [['vmsecretctl define web ./web.json', 'as root; paths in it are absolute']],
  delete: [['vmsecretctl delete web', 'a stopped VM that came by define']],
  reload: [['vmsecretctl reload', 'after /etc/vmsecretd/vms was changed']],
  cat: [['vmsecretctl cat web', 'as root; of files, too']],
  edit: [['EDITOR=nano vmsecretctl edit web', 'as root; what is not valid is not kept']],
  console: [
    ['vmsecretctl console web', 'follow it, and type'],
    ['vmsecretctl console web --no-follow', 'what was printed so far'],
  ],
  logs: [
    ['vmsecretctl logs web -n 20', 'the last 20 lines'],
    ['vmsecretctl logs web -f', 'follow it without typing'],
  ],
  ssh: [
    ['vmsecretctl ssh web', 'as root of the guest'],
    ['vmsecretctl ssh web -l anna -- ls -l', 'one command as another user'],
  ],
  events: [
    ['vmsecretctl events', 'of all VMs, until Ctrl-C'],
    ['vmsecretctl --json events web', 'of one, an object a line'],
  ],
  doctor: [['sudo vmsecretctl doctor', 'as root it sees keys and sockets, too']],
  version: [['vmsecretctl version', 'of both sides']],
  completion: [
    ['source <(vmsecretctl completion bash)', 'in ~/.bashrc; zsh after compinit'],
    ['vmsecretctl completion fish | source', "in fish's configuration"],
  ],
};
