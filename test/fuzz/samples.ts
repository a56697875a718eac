// One sound text of each kind that is parsed.

export const AGE_FILE = `age-encryption.org/v1\n-> X25519 ${'A'.repeat(43)}\n${'B'.repeat(43)}\n-> ssh-ed25519 abcd efgh\n${'C'.repeat(64)}\n\n--- ${'D'.repeat(43)}\n`;
export const ARMOR = `-----BEGIN AGE ENCRYPTED FILE-----\n${Buffer.from(AGE_FILE).toString('base64').replace(/.{64}/g, '$&\n')}\n-----END AGE ENCRYPTED FILE-----\n`;
export const OPENSSH = Buffer.from(
  'openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01\0\0\0\x33\0\0\0\x0bssh-ed25519\0\0\0\x20',
  'latin1',
);
export const PEM = `-----BEGIN OPENSSH PRIVATE KEY-----\n${OPENSSH.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
export const COMMAND =
  '/usr/bin/cloud-hypervisor --cpus boot=2,topology=1:2:1:1 --memory size=512M,shared=on --kernel "/a b" --disk path=/d,iops=3 path=/e --net tap=t,mac=02:00:00:00:00:01 --platform oem_strings=["a=b",c] --vsock cid=3,socket=v --cmdline \'a "b"\' --api-socket path=/s';
export const QEMU_COMMAND =
  'qemu-system-x86_64 -M q35,accel=kvm -m 64 -nodefaults -smbios type=11,value=a,,b -drive file=/d,if=virtio -netdev user,id=n,hostfwd=tcp::22-:22 -device virtio-net,netdev=n';
export const DEFINITION = JSON.stringify({
  command: COMMAND,
  workingDirectory: '/var/lib',
  oemStrings: ['a=b'],
  credentials: {
    A: { age: '/a.age', trim: 'newline' },
    B: { file: '/b' },
    C: { text: 'c' },
    D: { sops: '/d', key: 'a/b' },
    E: { program: ['e', 'f'], watch: ['/w'] },
  },
  vmConfig: {
    payload: { kernel: '/k' },
    disks: [{ path: '/d', rate_limiter_config: null }],
    cpus: { boot_vcpus: 1 },
  },
  hypervisor: 'cloud-hypervisor',
  delivery: 'api',
  supervisor: 'daemon',
  preStart: [['true'], 'a "b"'],
  restart: 'always',
  startTimeoutSeconds: 3,
});
export const CONFIG = JSON.stringify({
  identities: ['/i'],
  hypervisors: { qemu: { path: '/q' } },
  log: { level: 'trace' },
  metrics: { listen: '127.0.0.1:1' },
  startConcurrency: 3,
});
export const NOTIFY =
  'READY=1\nSTATUS=Startup finished\nERRNO=5\nX_SYSTEMD_UNIT_ACTIVE=multi-user.target\nSTOPPING=1\n';
export const RECEIPT = `VMSECRETD_RECEIPT=1\nCREDENTIAL_1=${'ab'.repeat(32)} 12 A B\nVMSECRETD_RECEIPT_END=1\n`;
export const STAT = '1 (a) b) S 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 4242 1 1 1';
export const UNIX = '0000: 00000002 00000000 00010000 0001 01 123 /run/a b';
export const UNIT =
  'Id=a.service\nActiveState=active\nSubState=running\nMainPID=42\nControlGroup=/a\nUID=1\nStatusText=x\nExecMainStatus=0\n';
export const HTTP =
  'HTTP/1.1 400 x\r\nContent-Length: 36\r\nConnection: close\r\n\r\n["bad", "io.systemd.credential:A=b"]';
export const HTTP_CHUNKED =
  'HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\n["a"]\r\n0\r\nX: y\r\n\r\n';
export const QMP =
  '{"QMP": {}}\n{"return": {}, "id": 1}\n{"event": "STOP", "data": {}}\n{"error": {"class": "x", "desc": "no"}, "id": 2}\n{"return": {"qemu": {"major": 7}}, "id": 2}\n';
