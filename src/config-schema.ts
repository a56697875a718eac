// The shape of config.json. docs/configuration.md is generated from the descriptions here.
import { Type } from 'typebox';
import { HYPERVISOR_KINDS, type HypervisorKind } from './definition/hypervisor-kinds.js';
import { LOG_LEVELS } from './log.js';

const Hypervisor = Type.Optional(
  Type.Object(
    { path: Type.String({ minLength: 1, description: 'Path of the program' }) },
    { additionalProperties: false },
  ),
);

export const ConfigSchema = Type.Object(
  {
    identities: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Identity files; the SSH host keys and $CREDENTIALS_DIRECTORY/identity* unless set',
      }),
    ),
    passphraseFiles: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Files with one passphrase each, for age files and SSH keys that have one',
      }),
    ),
    hypervisors: Type.Optional(
      Type.Object(
        Object.fromEntries(HYPERVISOR_KINDS.map(kind => [kind, Hypervisor])) as Record<
          HypervisorKind,
          typeof Hypervisor
        >,
        { additionalProperties: false },
      ),
    ),
    user: Type.Optional(
      Type.String({ description: 'User of VMMs that the daemon spawns; its own unless set' }),
    ),
    group: Type.Optional(Type.String({ description: 'Group of VMMs that the daemon spawns' })),
    operatorGroup: Type.Optional(Type.String({ description: 'Group that may use vmsecretd.sock' })),
    log: Type.Optional(
      Type.Object(
        {
          level: Type.Optional(
            Type.Enum(LOG_LEVELS, {
              default: 'info',
              description: 'The least severe messages that are logged',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    metrics: Type.Optional(
      Type.Object(
        {
          listen: Type.Optional(
            Type.String({ description: 'Loopback address:port or socket path; off unless set' }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    startConcurrency: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, description: 'Starts at once; twice the CPUs unless set' }),
    ),
  },
  { additionalProperties: false, title: 'Configuration' },
);
