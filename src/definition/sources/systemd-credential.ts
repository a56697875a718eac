import { fileKind } from './source-kind.js';

interface Others {
  name?: string;
}

export const systemdCredential = fileKind<'systemdCredential', Others>(
  'systemdCredential',
  'Path of a file that `systemd-creds encrypt` made, such as /etc/credstore.encrypted/…',
  {
    example: { systemdCredential: '/etc/credstore.encrypted/NAME' },
    others: {
      name: {
        type: 'string',
        minLength: 1,
        maxLength: 255,
        pattern: '^[^/:]+$',
        description: 'The name that `systemd-creds encrypt` was given; the name of the file unless set',
      },
    },
  },
);
