// How a command line with secrets in it becomes a process: a shell reads it from a FIFO and executes it, if it is whole.

/**
 * Ends the text. A writer that was killed leaves a cut one, whose last secret would be cut, too. Where a word itself has this
 * in it and the cut comes just there, its quote is still open, and the shell executes nothing either.
 */
export const WHOLE_COMMAND = ' # whole';

/** A command that becomes the one that is written to the FIFO; it fails where the text has no end. */
export function becomeCommandFrom(fifoPath: string): [string, ...string[]] {
  const script = `text=$(cat "$0"); case $text in *'${WHOLE_COMMAND}') eval "exec </dev/null \${text%'${WHOLE_COMMAND}'}" ;; esac
echo 'the command line was cut short; start the VM again' >&2; exit 1`;
  return ['/bin/sh', '-c', script, fifoPath];
}
