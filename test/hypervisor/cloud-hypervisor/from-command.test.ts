import t, { type Test } from 'tap';
import { convertCommand } from '../../../src/hypervisor/cloud-hypervisor/from-command.js';
import { ARGUMENT_LINES, FLAG_LINES, type RuleLine, STRING_LINES, VALUE_LINES } from './rule-lines.js';

const convert = (...options: string[]) => convertCommand(['--kernel', '/k', ...options]);

function check(lines: readonly RuleLine[]): (t: Test) => Promise<void> {
  return async t => {
    for (const { rule, options, config, names } of lines) {
      if (config === undefined) {
        t.throws(() => convert(...options), { code: 'command_invalid', details: names ?? {} }, rule);
      } else t.strictSame(convert(...options).vmConfig, { payload: { kernel: '/k' }, ...config }, rule);
    }
  };
}

t.test('reads arguments as the program does', check(ARGUMENT_LINES));
t.test('reads option strings as the program does', check(STRING_LINES));
t.test('reads values as the program does', check(VALUE_LINES));
t.test('builds each part of the VM config as the program does', check(FLAG_LINES));

t.test('drops the program that a command begins with', async t => {
  for (const program of ['/nix/store/x/bin/cloud-hypervisor', './vmm', 'cloud-hypervisor']) {
    t.same(convertCommand([program, '--kernel', '/k']).vmConfig, { payload: { kernel: '/k' } });
  }
  for (const word of ['sudo', 'A=/b', ''])
    t.throws(() => convertCommand([word, '--kernel', '/k']), /belongs to no/);
});

t.test('refuses a command that boots nothing', async t => {
  t.throws(() => convertCommand([]), /--kernel or --firmware is missing/);
  t.throws(() => convertCommand(['--api-socket', 'x']), {
    code: 'command_invalid',
    details: { flag: '--kernel' },
  });
  t.throws(() => convertCommand(['--restore', 'source_url=file:///s']), /snapshot/);
});

t.test('refuses a NUL', async t => {
  t.throws(() => convert('--cmdline', 'a\0'), /NUL/);
});

t.test('keeps passed descriptors out of the VM config, and tells of them', async t => {
  const nets = ['fd=[3],mac=02:00:00:01:01:01', 'tap=vm1', 'fd=4'];
  const converted = convert('--net', ...nets, '--platform', 'iommufd_fd=7', '--device', 'fd=8,id=gpu');
  t.same(converted.needsFileDescriptors, ['--net', '--platform', '--device']);
  t.same(converted.fileDescriptorNets, [{ value: nets[0] }, { value: nets[2] }]);
  t.same(converted.vmConfig, {
    payload: { kernel: '/k' },
    net: [{ tap: 'vm1' }],
    platform: { iommufd: true },
    devices: [{ id: 'gpu' }],
  });
  t.notOk('net' in convert('--net', 'fd=3').vmConfig);
  t.same(convert('--platform', 'iommufd_fd=7,iommufd=off').vmConfig.platform, { iommufd: false });
});

t.test('says what would be right', async t => {
  const errors: [string[], RegExp][] = [
    [['--kernl', 'x'], /no option "--kernl". Did you mean "--kernel"\?/],
    [['--disk', 'pth=/a'], /--disk: there is no key "pth". Did you mean "path"\?/],
    [['--disk', 'path=/a, id=x'], /remove the blank beside the key in " id"/],
    [['--tpm', 'zzzzzzzz=1'], /It takes socket\./],
    [
      ['--memory', 'size=1x'],
      /--memory: size="1x" is not valid: it takes a number of bytes, or one with K, M or G/,
    ],
    [['--disk', 'image_type=vmdk'], /it takes raw, qcow2, vhd or vhdx/],
    [['--fw-cfg-config', 'x'], /other builds .*"vmConfig" in its definition/],
    [['--platform', 'tdx=on'], /tdx= belongs to other builds/],
    [['--gdb', 'path=/x'], /other builds/],
    [['--cmdline', '-x'], /--cmdline=-…/],
    [['--serial', 'file'], /file=…/],
  ];
  for (const [options, message] of errors) t.throws(() => convert(...options), { message });
});

t.test('cuts a long value in an error', async t => {
  try {
    convert('--memory', `size=${'x'.repeat(5000)}`);
    t.fail('it was accepted');
  } catch (error) {
    t.ok((error as Error).message.length < 250, (error as Error).message);
  }
});

t.test('refuses a range that would fill the memory, and quickly', async t => {
  t.throws(() => convert('--cpus', 'affinity=[0@[0-99999999999]]'), {
    code: 'command_invalid',
    details: { key: 'affinity' },
  });
});
