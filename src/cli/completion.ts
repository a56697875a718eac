// completion: a shell's completion script, made from the commands themselves; names of VMs are asked of the daemon.
import { Argument, type Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Nothing where the daemon is not reached. */
const VM_NAMES = 'vmsecretctl list --quiet 2>/dev/null';

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

const visibleOptions = (command: Command) => command.options.filter(({ hidden }) => !hidden);
const optionsOf = (command: Command) => visibleOptions(command).flatMap(option => option.long ?? []);
const visibleCommands = (program: Command) =>
  program
    .createHelp()
    .visibleCommands(program)
    .filter(command => command.name() !== 'help');
/** What else is typed for it is completed, and not offered. */
const namesOf = (command: Command) => [command.name(), ...command.aliases()];

function takesVm(command: Command): boolean {
  return command.registeredArguments.some(argument => /^names?$/.test(argument.name()));
}

/** Its argument's own words, or names of VMs. @param vmNames how the shell asks for them once they are wanted */
function wordsOf(command: Command, vmNames: string): string[] {
  const names = takesVm(command) ? [vmNames] : [];
  return [...names, ...command.registeredArguments.flatMap(argument => argument.argChoices ?? [])];
}

/**
 * Sets `candidates`, in bash and in zsh.
 * @param words what stands between the program's name and the word to complete
 */
function findCandidates(program: Command, words: string): string {
  const names = visibleCommands(program).map(command => command.name());
  const branch = (pattern: string, candidates: readonly string[]) =>
    `    ${pattern}) candidates="${candidates.join(' ')}" ;;`;
  const branches = visibleCommands(program).flatMap(command => {
    const options = [...optionsOf(command), '--help'];
    const after = (word = '*') =>
      namesOf(command)
        .map(name => `${name}:${word}`)
        .join(' | ');
    return [
      ...visibleOptions(command).flatMap(({ long, argChoices }) =>
        argChoices === undefined ? [] : branch(after(long), [...argChoices, ...options]),
      ),
      branch(after(), [...options, ...wordsOf(command, `$(${VM_NAMES})`)]),
    ];
  });
  const withValue = program.options
    .filter(option => option.required)
    .flatMap(({ long, short }) => [long, short])
    .filter(flag => flag !== undefined)
    .map(flag => `${flag}:*`);
  return `  local candidates command previous word
  for word in ${words}; do
    case "$previous:$word" in
      ${withValue.join(' | ')} | *:-*) ;;
      *) command=\${command:-$word} ;;
    esac
    previous=$word
  done
  case "$command:$previous" in
${branches.join('\n')}
${branch('help:*', names)}
${branch('*', [...names, 'help', ...optionsOf(program)])}
  esac`;
}

function completeBash(program: Command): string {
  return `_vmsecretctl() {
${findCandidates(program, `"\${COMP_WORDS[@]:1:COMP_CWORD-1}"`)}
  COMPREPLY=($(compgen -W "$candidates" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _vmsecretctl vmsecretctl
`;
}

/** Both to be sourced, and to be loaded from a folder of fpath, whose file is the body of the function. */
function completeZsh(program: Command): string {
  return `#compdef vmsecretctl
_vmsecretctl() {
${findCandidates(program, `"\${(@)words[2,CURRENT-1]}"`)}
  compadd -- \${=candidates} || _files
}
if [ "$funcstack[1]" = _vmsecretctl ]; then _vmsecretctl "$@"; else compdef _vmsecretctl vmsecretctl; fi
`;
}

function completeFish(program: Command): string {
  const quote = (text: string) => `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
  // In double quotes a command would be run when the script is read, once and for all.
  const offer = (words: readonly string[]) => `-f -a ${quote(words.join(' '))}`;
  const after = (name: string) => `complete -c vmsecretctl -n '__fish_seen_subcommand_from ${name}'`;
  const lines = visibleCommands(program).flatMap(command => {
    const seen = after(namesOf(command).join(' '));
    const words = wordsOf(command, `(${VM_NAMES})`);
    return [
      `complete -c vmsecretctl -n __fish_use_subcommand -f -a ${command.name()} -d ${quote(command.description())}`,
      ...visibleOptions(command).map(
        ({ long, description, argChoices }) =>
          `${seen} -l ${long?.slice(2)} -d ${quote(description)}${argChoices === undefined ? '' : ` -r ${offer(argChoices)}`}`,
      ),
      ...(words.length > 0 ? [`${seen} ${offer(words)}`] : []),
    ];
  });
  lines.push(`${after('help')} ${offer(visibleCommands(program).map(command => command.name()))}`);
  return `${lines.join('\n')}\n`;
}
