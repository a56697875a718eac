// Scenario 1: the static strings of the VM's own command line, as microvm.nix's example has them.

import { expectedFile } from '../console-report.js';
import { consoleUnit } from '../guest-files.js';
import { printCredentials, type SharedBootScenario } from './scenario.js';

export const demoOemCredentials: SharedBootScenario = {
  title: 'static OEM strings of the command line are credentials of a unit',
  secrets: new Map(),
  oemStrings: ['io.systemd.credential:ENVIRONMENT=production', 'io.systemd.credential:CLUSTER=my-cluster'],
  files: consoleUnit('demo-oem-credentials', {
    service: ['LoadCredential=ENVIRONMENT', 'LoadCredential=CLUSTER', printCredentials('demo')],
  }),
  check: (t, report) => {
    t.strictSame(report.files.demo, {
      CLUSTER: expectedFile(Buffer.from('my-cluster')),
      ENVIRONMENT: expectedFile(Buffer.from('production')),
    });
  },
};
