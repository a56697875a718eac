// events: what happens to VMs, as it happens.
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { describeEvent } from '../vm/describe-event.js';
import type { VmEventRecord } from '../vm/events.js';
import { contextOf } from './context.js';

export function addEventsCommand(program: Command): void {
  program
    .command('events')
    .aliases(['monitor'])
    .argument('[name]', 'of one VM only')
    .description('what happens, as it happens')
    .action(async (name: string | undefined, _options: unknown, command: Command) => {
      const { client, format } = contextOf(command);
      const query = name === undefined ? '' : `?vm=${encodeURIComponent(name)}`;
      let type = '';
      for await (const line of createInterface({ input: await client.stream(`/v1/events${query}`) })) {
        if (line.startsWith('event: ')) type = line.slice(7);
        if (!line.startsWith('data: ')) continue;
        const event: VmEventRecord = { type, ...JSON.parse(line.slice(6)) };
        // A stream for programs is one object a line.
        const text =
          format === 'table' ? `${event.at}  ${event.vm} ${describeEvent(event)}` : JSON.stringify(event);
        process.stdout.write(`${text}\n`);
      }
    });
}
