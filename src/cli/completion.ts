// completion: a shell's completion script, made from the commands themselves; names of VMs are asked of the daemon.
import { Argument, type Command } from 'commander';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Empty where the daemon is not reached: the first line is the heading. */
const VM_NAMES = "vmsecretctl list 2>/dev/null | tail -n +2 | cut -d ' ' -f 1";

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .description('print a completion script: source <(vmsecretctl completion bash)')
    .action((shell: Shell) => {
      process.stdout.write(shell === 'fish' ? completeFish(program) : completeBash(program, shell));
    });
}

const optionsOf = (command: Command) => command.options.flatMap(option => option.long ?? []);

function takesVm(command: Command): boolean {
  return command.registeredArguments.some(argument => /^names?$/.test(argument.name()));
}

function completeBash(program: Command, shell: Shell): string {
  const cases = program.commands.map(command => {
    const names = takesVm(command) ? ` $(${VM_NAMES})` : '';
    return `    ${command.name()}) words="${[...optionsOf(command), '--help'].join(' ')}${names}" ;;`;
  });
  const start = [...program.commands.map(command => command.name()), ...optionsOf(program)].join(' ');
  return `${shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_vmsecretctl() {
  local words
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) words="${start}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _vmsecretctl vmsecretctl
`;
}

function completeFish(program: Command): string {
  const quote = (text: string) => `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
  const lines = program.commands.flatMap(command => {
    const seen = `complete -c vmsecretctl -n '__fish_seen_subcommand_from ${command.name()}'`;
    return [
      `complete -c vmsecretctl -n __fish_use_subcommand -f -a ${command.name()} -d ${quote(command.description())}`,
      ...command.options.map(
        ({ long, description }) => `${seen} -l ${long?.slice(2)} -d ${quote(description)}`,
      ),
      ...(takesVm(command) ? [`${seen} -f -a "(${VM_NAMES})"`] : []),
    ];
  });
  return `${lines.join('\n')}\n`;
}
