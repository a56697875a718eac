import t from 'tap';
import { evaluate, missingNix } from './nix.js';

const skip = await missingNix();
const settings = (text: string, programs: Record<string, string> = {}) =>
  evaluate('import (pure + "/unit-settings.nix") { inherit text programs; }', { text, programs });

const UNIT = `# why
[Unit]
Description=The daemon
Documentation=file:/usr/lib/x.md
After=a.service b.socket
After=c.target

[Service]
ExecStart=+/usr/lib/vmsecretd/vmsecretd --config \\
; a comment inside a continued line
  /etc/x
Environment=A=b
Environment="C=d e"
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
`;

t.test(
  'takes dependencies as lists, repeated keys as lists, and programs by their store paths',
  { skip },
  async t => {
    t.strictSame(await settings(UNIT, { vmsecretd: '/store/vmsecretd' }), {
      after: ['a.service', 'b.socket', 'c.target'],
      wantedBy: ['multi-user.target'],
      unitConfig: { Description: 'The daemon' },
      serviceConfig: {
        ExecStart: '+/store/vmsecretd --config    /etc/x',
        Environment: ['A=b', '"C=d e"'],
        CapabilityBoundingSet: '',
      },
    });
  },
);

t.test('refuses a program that has no store path, by its name', { skip }, async t => {
  await t.rejects(settings(UNIT), /\/usr\/lib\/vmsecretd\/vmsecretd is none of the programs/);
});

t.test('refuses a line that is no setting, by quoting it', { skip }, async t => {
  await t.rejects(settings('[Unit]\nDescription\n'), /'Description' is neither/);
  await t.rejects(settings('Description=x\n'), /'Description=x' is neither/);
});
