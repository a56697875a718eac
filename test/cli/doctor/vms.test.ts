import { join } from 'node:path';
import t from 'tap';
import { CliError, type Client } from '../../../src/cli/client.js';
import { checkDaemon } from '../../../src/cli/doctor/daemon.js';
import { checkVms } from '../../../src/cli/doctor/vms.js';
import type { VmView } from '../../../src/vm/vm.js';
import { PROJECT_ROOT } from '../../setup/project-root.js';

/** A daemon that answers each call with what is here, and refuses others. */
function daemonThatAnswers(answers: Record<string, unknown>): Client {
  const refuse = () => Promise.reject(new CliError('refused', 1));
  return {
    socketPath: '/run/admin.sock',
    call: async (method, path) => answers[`${method} ${path}`] ?? refuse(),
    wait: async (method, path) => answers[`${method} ${path}`] ?? refuse(),
    stream: refuse,
    send: refuse,
  };
}
const view = (more: Partial<VmView>) =>
  ({ name: 'web', pid: null, exposed: false, outdated: [], problem: null, ...more }) as unknown as VmView;
const fit = daemonThatAnswers({ 'POST /v1/vms/web/check': { ok: true, checks: [] } });

t.test('warns of a daemon of another version, and finds one that does not answer', async t => {
  const client = daemonThatAnswers({ 'GET /v1/version': { version: '1.0.0' } });
  t.match(await checkDaemon(client, '1.0.0'), { level: 'ok' });
  t.match(await checkDaemon(client, '1.1.0'), { level: 'warning', fix: 'systemctl restart vmsecretd' });
  t.match(await checkDaemon(daemonThatAnswers({}), '1.0.0'), { level: 'wrong', detail: 'refused' });
});

t.test('warns of a VM that is outdated, and of one whose definition shows its secrets', async t => {
  t.match(await checkVms(fit, [view({})]), [{ level: 'ok', detail: 'would start' }]);
  t.match(await checkVms(fit, [view({ outdated: ['credential KEY'] })]), [
    { level: 'warning', detail: /outdated: credential KEY/, fix: 'vmsecretctl restart web' },
    { level: 'ok' },
  ]);
  t.match(await checkVms(fit, [view({ exposed: true })]), [
    { level: 'warning', detail: /every user/, fix: /unless it is meant so/ },
    { level: 'ok' },
  ]);
});

t.test('tells once what a VM failed of and would fail of again', async t => {
  const detail = 'VM web, credential KEY: /k does not exist';
  const again = { name: 'credential KEY', ok: false, code: 'secret_missing', detail };
  const other = { ...again, name: 'host', detail: 'VM web: its disk is taken' };
  const problem = { at: '', code: 'secret_missing', detail } as const;
  const failing = daemonThatAnswers({ 'POST /v1/vms/web/check': { ok: false, checks: [again, other] } });
  const findings = await checkVms(failing, [view({ problem })]);
  t.strictSame(
    findings.map(finding => finding.detail),
    ['credential KEY: /k does not exist', 'its disk is taken'],
  );
});

t.test('finds a VM that failed, one that would not start, and one that cannot be checked', async t => {
  const problem = { at: '', code: 'vmm_timeout', detail: 'too late' } as const;
  t.match(await checkVms(fit, [view({ problem })]), [
    { level: 'wrong', fix: `${join(PROJECT_ROOT, 'docs/errors.md')} says what to do for vmm_timeout` },
    { level: 'ok' },
  ]);
  t.match(await checkVms(daemonThatAnswers({}), [view({})]), [{ level: 'wrong', detail: 'refused' }]);
  const checks = [
    { name: 'host', ok: false, code: 'resource_conflict', detail: 'VM web: its disk is taken' },
    {
      name: 'credential KEY',
      ok: false,
      code: 'secret_missing',
      detail: 'VM web, credential KEY: /k does not exist',
    },
  ];
  const taken = daemonThatAnswers({ 'POST /v1/vms/web/check': { ok: false, checks } });
  t.match(
    await checkVms(taken, [view({})]),
    [
      { level: 'wrong', check: 'VM web', detail: /^its disk is taken$/ },
      { level: 'wrong', check: 'VM web', detail: /^credential KEY: \/k does not exist$/ },
    ],
    'each names the VM once',
  );
  const onlyTaken = daemonThatAnswers({
    'POST /v1/vms/web/check': { ok: false, checks: checks.slice(0, 1) },
  });
  t.match(await checkVms(onlyTaken, [view({ pid: 42 })]), [{ level: 'ok' }], 'a running VM took it itself');
});
