// completion: a shell's completion script, made from the commands themselves; names of VMs are asked of the daemon.
import { Argument, type Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Empty where the daemon is not reached: the first line is the heading. */
const VM_NAMES = "vmsecretctl list 2>/dev/null | tail -n +2 | cut -d ' ' -f 1";

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .description('print a completion script')
    .action((shell: Shell) => {
      process.stdout.write(renderCompletion(program, shell));
    });
}

export function renderCompletion(program: Command, shell: Shell): string {
  return { bash: completeBash, zsh: completeZsh, fish: completeFish }[shell](program);
}

const optionsOf = (command: Command) => command.options.flatMap(option => option.long ?? []);

function takesVm(command: Command): boolean {
  return command.registeredArguments.some(argument => /^names?$/.test(argument.name()));
}

/** The words that may follow each command, and those that begin. */
function caseBranches(program: Command): string {
  const branches = program.commands.map(command => {
    const names = takesVm(command) ? ` $(${VM_NAMES})` : '';
    return `    ${command.name()}) candidates="${[...optionsOf(command), '--help'].join(' ')}${names}" ;;`;
  });
  const start = [...program.commands.map(command => command.name()), ...optionsOf(program)].join(' ');
  return [...branches, `    *) candidates="${start}" ;;`].join('\n');
}

function completeBash(program: Command): string {
  return `_vmsecretctl() {
  local candidates
  case "\${COMP_WORDS[1]}" in
${caseBranches(program)}
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _vmsecretctl vmsecretctl
`;
}

/** Both to be sourced, and to be loaded from a folder of fpath, whose file is the body of the function. */
function completeZsh(program: Command): string {
  return `#compdef vmsecretctl
_vmsecretctl() {
  local candidates
  case "$words[2]" in
${caseBranches(program)}
  esac
  compadd -- \${=candidates} || _files
}
if [ "$funcstack[1]" = _vmsecretctl ]; then _vmsecretctl "$@"; else compdef _vmsecretctl vmsecretctl; fi
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
