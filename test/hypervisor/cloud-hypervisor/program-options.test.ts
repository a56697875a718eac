import t from 'tap';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { programArguments } from '../../../src/hypervisor/cloud-hypervisor/program-options.js';

const read = (...options: string[]) => convertCommand(['--kernel', '/k', ...options]).program;

t.test('tells the options of the program from those of the VM', async t => {
  t.same(read('--disk', 'path=/a'), { noShutdown: false, verbosity: 0, inheritedDescriptors: [] });
  const options = [
    '--log-file=/l',
    '--log-format',
    '{msg}',
    '--seccomp',
    'log',
    '--no-shutdown',
    '-v',
    '-vv',
  ];
  t.same(read('--api-socket', '/s', '--event-monitor', 'path=/e', ...options), {
    apiSocket: '/s',
    eventMonitor: 'path=/e',
    logFile: '/l',
    logFormat: '{msg}',
    seccomp: 'log',
    noShutdown: true,
    verbosity: 3,
    inheritedDescriptors: [],
  });
});

t.test('reads the path of the API socket as the program does', async t => {
  const paths = {
    '/s': '/s',
    'path=/s': '/s',
    'path="/a,b"': '/a,b',
    'fd=,path=/s': '/s',
    'path=/s,foo': '/s',
    'foo,path=/s': 'foo,path=/s',
    'path="/s': 'path="/s',
    'path=': 'path=',
  };
  for (const [value, path] of Object.entries(paths))
    t.equal(read('--api-socket', value).apiSocket, path, value);
});

t.test('tells of descriptors that the program inherits', async t => {
  t.same(read('--api-socket', 'fd=3', '--event-monitor', 'fd=4').inheritedDescriptors, [
    '--api-socket',
    '--event-monitor',
  ]);
  t.notOk('apiSocket' in read('--api-socket', 'fd=3,path=/s'));
  t.throws(() => read('--api-socket', 'fd=x'), /--api-socket: fd="x"/);
  t.throws(() => read('--event-monitor', 'fd='), /--event-monitor: fd=""/);
});

t.test('refuses what the program refuses before it starts a VM', async t => {
  t.throws(() => read('--event-monitor', '/e'), /--event-monitor: there is no key "\/e"/);
  t.throws(() => read('--event-monitor', 'path='), /"path=" or "fd="/);
  for (const format of ['{bogus}', '{msg', 'msg}', '{}', '{localmsg}']) {
    t.throws(() => read('--log-format', format), /--log-format/, format);
  }
  for (const format of ['', '{{x}}', '{localyear}{offset} {levelchar}', '{{{msg}}}']) {
    t.equal(read('--log-format', format).logFormat, format);
  }
});

t.test('writes the options back so that they mean the same', async t => {
  const lines = [
    [],
    ['--api-socket', 'path="/a,b"', '--log-file=-x', '-vvv'],
    ['--api-socket', 'path=" x""[y"', '--event-monitor', 'fd=3', '--seccomp', 'false', '--no-shutdown'],
    ['--api-socket', 'fd=3', '--log-format', '', '--log-file', '/l'],
  ];
  for (const line of lines) {
    const program = read(...line);
    const { inheritedDescriptors, ...again } = read(...programArguments(program));
    t.same({ ...again, inheritedDescriptors: program.inheritedDescriptors }, program, line.join(' '));
  }
  t.same(programArguments(read('--api-socket', '/s', '-v', '--cpus', 'boot=2')), [
    '--api-socket',
    'path=/s',
    '-v',
  ]);
});

t.test('leaves --restore out, which the program ignores beside a VM', async t => {
  t.same(programArguments(read('--restore', 'source_url=file:///s')), []);
});
