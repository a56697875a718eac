// console: the serial console, interactive where the socket allows input.
import type { Command } from 'commander';
import { contextOf, vmPath } from './context.js';

/** Ctrl-], as telnet and virsh have it. */
const ESCAPE = 0x1d;

export function addConsoleCommand(program: Command): void {
  program
    .command('console')
    .argument('<name>')
    .option('--no-follow', 'print what there is, and end')
    .description('the serial console; Ctrl-] leaves it')
    .action(async (name: string, options: { follow: boolean }, command: Command) => {
      const { client } = contextOf(command);
      const output = await client.stream(vmPath(name, `/console?follow=${options.follow}`));
      output.pipe(process.stdout);
      const { stdin } = process;
      if (options.follow && stdin.isTTY) {
        stdin.setRawMode(true);
        process.stderr.write(`Connected to ${name}; Ctrl-] leaves.\r\n`);
        const leave = () => {
          stdin.setRawMode(false);
          stdin.pause();
          output.destroy();
        };
        let sending: Promise<unknown> = Promise.resolve();
        stdin.on('data', (bytes: Buffer) => {
          if (bytes.includes(ESCAPE)) return leave();
          sending = sending
            .then(() => client.send(vmPath(name, '/console'), bytes))
            .catch(error => process.stderr.write(`${error.message}\r\n`));
        });
        output.once('end', leave);
      }
      await new Promise<void>(resolve => output.once('close', resolve));
    });
}
