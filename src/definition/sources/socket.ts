import type { SourceKindInfo } from './source-kind.js';

interface Keys {
  socket?: string;
}

export const socket: SourceKindInfo<Keys> = {
  keys: {
    socket: {
      type: 'string',
      minLength: 1,
      description: 'Path of a UNIX socket that sends the value, as with `LoadCredential=` of systemd',
    },
  },
  example: { socket: '/run/NAME.sock' },
  mapPaths: ({ socket: path = '' }, change) => ({ socket: change(path, 'socket') }),
  describe: ({ socket: path }) => path,
  // The service behind it gives a value to whoever connects, and may count that.
  watched: () => [],
  isFile: false,
};
