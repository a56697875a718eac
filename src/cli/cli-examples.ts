import type { Examples } from '../examples.js';

/** Every command has one; test/project/cli-pages.test.ts reads each as the program would. */
export const CLI_EXAMPLES: Examples = {
  vmsecretctl: [
    ['vmsecretctl define web web.json', 'keep a definition'],
    ['vmsecretctl start web --wait', 'start the VM, and wait until its guest is ready'],
    ['vmsecretctl --json list', 'the same answers for programs'],
  ],
  list: [['vmsecretctl list', 'name, state and process of each VM']],
  show: [['vmsecretctl show web', 'one VM, and what became of it']],
  check: [['vmsecretctl check web', 'would it start? does every secret open?']],
  command: [['vmsecretctl command web', 'what the VMM is given']],
  convert: [
    ['vmsecretctl convert -- --kernel /boot/vmlinux --serial tty', 'the VM config of this command line'],
  ],
  start: [
    ['vmsecretctl start web db', 'two VMs at once'],
    ['vmsecretctl start web --wait --timeout 60', 'fails where the guest is not ready within a minute'],
  ],
  stop: [
    ['vmsecretctl stop web --wait', 'returns when its VMM has ended'],
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
  define: [['vmsecretctl define web ./web.json', 'as root; paths in it are absolute']],
  delete: [['vmsecretctl delete web', 'a stopped VM that came by define']],
  reload: [['vmsecretctl reload', 'after /etc/vmsecretd/vms was changed']],
  console: [
    ['vmsecretctl console web', 'follow it, and type'],
    ['vmsecretctl console web --no-follow', 'what was printed so far'],
  ],
  events: [
    ['vmsecretctl events', 'of all VMs, until Ctrl-C'],
    ['vmsecretctl --json events web', 'of one, an object a line'],
  ],
  doctor: [['sudo vmsecretctl doctor', 'as root it sees keys and sockets, too']],
  completion: [
    ['source <(vmsecretctl completion bash)', 'in ~/.bashrc; zsh after compinit'],
    ['vmsecretctl completion fish | source', "in fish's configuration"],
  ],
};
