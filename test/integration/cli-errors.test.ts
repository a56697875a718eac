// vmsecretctl's errors for programs, and what is not done in halves: an edit that is refused, a stop that is hurried.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CTL } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { NO_TERMINAL, RunningCtl } from './running-ctl.js';
import { CLOUD_HYPERVISOR, defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('with --json each error is a problem document', options, async (t, rig) => {
  const { daemon } = rig;
  await defineVm(STAND_IN, rig, 'web');
  const problemsOf = async (...words: string[]) => {
    const { status, stderr } = await daemon.ctl(...words);
    return {
      status,
      problems: stderr
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)),
    };
  };
  t.match(await problemsOf('--json', 'show', 'wen'), {
    status: 3,
    problems: [{ type: 'urn:vmsecretd:error:vm_unknown', status: 404, code: 'vm_unknown', vm: 'wen' }],
  });
  t.match(await problemsOf('start', 'wen', 'wer', '-o', 'json'), {
    status: 3,
    problems: [{ vm: 'wen' }, { vm: 'wer' }],
  });
  for (const words of [
    ['--json', 'top'],
    ['list', '--output=json', '--wiat'],
    ['start', '-o', 'json'],
  ])
    t.match(await problemsOf(...words), { status: 2, problems: [{ code: 'usage_error', detail: /./ }] });
  t.match(await problemsOf('--json', 'pause', 'web'), { status: 1, problems: [{ code: 'state_conflict' }] });
  t.match(await problemsOf('--json', '--socket', '/nowhere', 'list'), {
    status: 4,
    problems: [{ code: 'daemon_unreachable', detail: /ENOENT/ }],
  });
  t.match(await problemsOf('--json', 'convert', '--', '--kernle', '/k'), {
    status: 1,
    problems: [{ code: 'command_invalid' }],
  });
});

daemonTest(
  'edit keeps what is valid, and loses nothing',
  { ...options, skip: NO_TERMINAL },
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(STAND_IN, rig, 'web');
    const definition = async () => (await daemon.call('GET', '/v1/vms/web/definition')).json;
    const edit = (script: string) =>
      new RunningCtl(daemon, ['edit', 'web'], {
        terminal: true,
        environment: { EDITOR: `sed -i ${script}` },
      });
    const before = await definition();
    const meanwhile = join(daemon.folder, 'meanwhile.json');
    writeFileSync(meanwhile, JSON.stringify({ ...(before as object), restart: 'always' }));
    const refused = edit('s/restart/restrat/');
    await refused.untilPrinted('Edit it again?');
    refused.type('n\r');
    t.equal(await refused.ended, 1);
    t.match(refused.printed, /unknown key "restrat"\. Did you mean "restart"/);
    const [, file = ''] = /your text is in (\S+web\.json)/.exec(refused.printed) ?? [];
    t.match(readFileSync(file, 'utf8'), 'restrat');
    rmSync(dirname(file), { recursive: true });
    t.strictSame(await definition(), before, 'it is as it was');
    const editor = join(daemon.folder, 'editor.sh');
    writeFileSync(editor, `sed -i s/64M/65M/ "$1"; ${process.execPath} ${CTL} define web ${meanwhile}`);
    const late = new RunningCtl(daemon, ['edit', 'web'], {
      terminal: true,
      environment: { EDITOR: `sh ${editor}` },
    });
    t.equal(await late.ended, 1);
    t.match(
      late.printed,
      /The definition is another than If-Match names; .* \(precondition_failed\); .* your text is in/,
    );
    rmSync(dirname(/your text is in (\S+web\.json)/.exec(late.printed)?.[1] ?? ''), { recursive: true });
    t.match(await definition(), { restart: 'always' }, 'what came meanwhile stays');
    const same = edit('s/nothing/else/');
    t.equal(await same.ended, 0);
    t.match(same.printed, 'web is not changed');
    writeFileSync(join(daemon.definitions, 'file.json'), JSON.stringify(before));
    await daemon.call('POST', '/v1/reload');
    t.match(await daemon.ctl('edit', 'file'), {
      status: 1,
      stderr: /is defined by .*file\.json: edit that file/,
    });
  },
);

const realOptions = { config: { hypervisors: CLOUD_HYPERVISOR.hypervisors }, skip: CLOUD_HYPERVISOR.skip };
daemonTest(
  'stop -t ends a guest that does not listen, one that is being stopped too',
  realOptions,
  async (t, rig) => {
    const { daemon } = rig;
    await defineVm(CLOUD_HYPERVISOR, rig, 'web', { after: 'stay' });
    await daemon.act('web', 'start');
    const patient = daemon.call('POST', '/v1/vms/web/stop');
    t.match(await daemon.untilVm('web', 'is being stopped', vm => vm.stopStep !== null), {
      stopStep: { step: 'power-button', timeoutSeconds: 90 },
    });
    t.match(await daemon.ctl('stop', 'web', '-t', '1'), { status: 0, stdout: /\nweb +stopped/ });
    t.match(await patient, { status: 200, json: { state: 'stopped', stopStep: null } });
    t.strictSame(
      daemon.events.filter(({ type }) => type === 'stop-step').map(({ step }) => step),
      ['power-button', 'shutdown'],
    );
  },
);
