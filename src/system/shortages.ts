// Keeps a process alive that has run out of descriptors: what it was about fails, and what it watches over goes on.
import { subscribe } from 'node:diagnostics_channel';
import { systemErrorCode } from '../errors.js';

const SHORTAGES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM']);

/**
 * A child that cannot be spawned tells it by an event, for which its owner may have no listener yet: execa throws before. Anything
 * else that nobody catches ends the process as ever.
 */
export function outliveShortages(onShortage: (error: Error) => void): void {
  subscribe('child_process', message => {
    const { process: child } = message as { process: NodeJS.EventEmitter };
    child.on('error', error => {
      if (SHORTAGES.has(systemErrorCode(error))) onShortage(error);
    });
  });
  const outlive = (error: unknown) => {
    if (!(error instanceof Error) || !SHORTAGES.has(systemErrorCode(error))) throw error;
    onShortage(error);
  };
  process.on('uncaughtException', outlive);
  process.on('unhandledRejection', outlive);
}
