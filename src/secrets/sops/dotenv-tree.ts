// A dotenv file as sops has it: KEY=VALUE lines, nothing quoted, `\n` for a line end.
import { damaged } from './sops-file-error.js';
import { type Branch, branch, text } from './tree.js';

/** @throws SopsFileError */
export function parseDotenvTree(content: string): Branch {
  const lines = content.split('\n').map((line, index) => ({ line, number: index + 1 }));
  return branch(
    lines
      .filter(({ line }) => line !== '' && !line.startsWith('#'))
      .map(({ line, number }) => {
        const end = line.indexOf('=');
        if (end < 0) throw damaged(`line ${number} is no KEY=VALUE`);
        return [line.slice(0, end), text(line.slice(end + 1).replaceAll('\\n', '\n'))];
      }),
  );
}
