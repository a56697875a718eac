import { parseSopsKey } from './sops-key.js';
import { fileKind } from './source-kind.js';

interface Others {
  key?: string;
}

export const sops = fileKind<'sops', Others>(
  'sops',
  'Path of a sops file whose data key is encrypted with age',
  {
    example: { sops: '/etc/secrets/secrets.yaml', key: 'my-app/api-key' },
    others: {
      key: {
        type: 'string',
        minLength: 1,
        description:
          'Which value of the sops file: names and list positions with `/` between, or as `sops decrypt --extract` has it (`["a"]["b"]`); not for a binary file',
      },
    },
    findProblem: ({ key }) =>
      key !== undefined && parseSopsKey(key) === null
        ? 'key must be as `sops decrypt --extract` has it when it begins with a bracket, such as ["my-app"]["api-key"]'
        : undefined,
    describe: ({ sops = '', key }) => (key === undefined ? sops : `${sops} ${key}`),
  },
);
