// A stand-in for cloud-hypervisor v53 on machines without it or without KVM: its own options, its API socket, and a VM
// whose guest is one of test/guests/pvh. test/hypervisor/cloud-hypervisor/contract.ts holds it to the real program.
//
// It fails as the kernel's file name says (the file itself is a test guest):
//   exits-early    vm.boot is not answered, the program exits with status 1 and last words
//   aborts         the same, by SIGABRT
//   refuses-boot   vm.boot is answered with 500
//   hangs-on-boot  vm.boot is never answered
//   hangs-on-stop  power button, vmm.shutdown and SIGTERM do nothing
//   echoes-input   no failure: what is typed into its console is printed
// and as its own name says (test/fixtures/bin):
//   never-listens  there is no API socket
//   refuses-create vm.create is answered with 400 that quotes the last OEM string
//   drops-key      a release that takes platform.system_uuid, and does not know it
//   changes-string a release that cuts the last OEM string by a character

import { rmSync, writeSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { refuseVmConfig } from './refuse-vm-config.js';
import { StandInRefusal, StandInVm, type StandInVmConfig } from './stand-in-vm.js';

const BODY_LIMIT_BYTES = 51_200;
const CONNECTION_LIMIT = 10;
const PATHS =
  /^\/api\/v1\/(vmm\.(ping|shutdown)|vm\.(info|create|boot|reboot|pause|resume|power-button|shutdown|delete))$/;

interface Options {
  readonly apiSocket: string;
  /** In place of a path: a socket that listens already. */
  readonly descriptor: number | undefined;
  readonly noShutdown: boolean;
}

/** What the real program takes without a kernel: its own options, each once. */
function parseOptions(argv: readonly string[]): Options {
  const values = new Map<string, string>();
  const words = argv.flatMap(word => (/^--[a-z-]+=/.test(word) ? word.split(/=(.*)/s, 2) : [word]));
  for (let at = 0; at < words.length; at++) {
    const name = words[at] ?? '';
    if (/^-v+$/.test(name)) continue;
    const takesValue = /^--(api-socket|seccomp|log-file|log-format|event-monitor)$/.test(name);
    if (!takesValue && name !== '--no-shutdown') exitWith(2, `error: unexpected argument '${name}' found`);
    if (values.has(name)) exitWith(2, `error: the argument '${name}' cannot be used multiple times`);
    values.set(name, takesValue ? (words[++at] ?? exitWith(2, `error: ${name} needs a value`)) : '');
  }
  const apiSocket = values.get('--api-socket') ?? exitWith(2, 'Usage: cloud-hypervisor [OPTIONS]');
  const [, descriptor] = /^fd=(\d+)$/.exec(apiSocket) ?? [];
  return {
    apiSocket: apiSocket.replace(/^path=/, ''),
    descriptor: descriptor === undefined ? undefined : Number(descriptor),
    noShutdown: values.has('--no-shutdown'),
  };
}

function exitWith(status: number, lastWords: string): never {
  process.stderr.write(`${lastWords}\n`);
  process.exit(status);
}

function runStandIn(name: string, { apiSocket, descriptor, noShutdown }: Options): void {
  const vm = new StandInVm(() => (noShutdown ? vm.shutdown() : exit()));
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    answer(request, response).catch(error => {
      if (!(error instanceof StandInRefusal)) throw error;
      const text = error.messages.length === 0 ? '' : JSON.stringify(error.messages);
      response.writeHead(error.status).end(text);
    });
  });
  refuseConnectionsOverLimit(server);

  /** Ends by itself once the console's client has read the rest, or is given up. */
  function exit(): void {
    vm.delete();
    if (descriptor === undefined) rmSync(apiSocket, { force: true });
    server.close();
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 200).unref();
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = `${request.method} ${request.url?.replace('/api/v1/', '')}`;
    const body = await readBody(request);
    const done = () => void response.writeHead(204).end();
    const then = (next: () => void) => void response.writeHead(204).end(next);
    switch (call) {
      case 'GET vmm.ping':
        return void response.end(JSON.stringify(describeProgram()));
      case 'GET vm.info':
        return void response.end(JSON.stringify(vm.view(), (key, value) => forget(name, key, value)));
      case 'GET vm.counters':
        return void response.end(JSON.stringify(vm.counters()));
      case 'PUT vm.create':
        await vm.create(parseVmConfig(body, name));
        return done();
      case 'PUT vm.boot': {
        if (vm.failure === 'exits-early') exitWith(1, 'Fatal error: the stand-in exits early');
        if (vm.failure === 'aborts') abort();
        if (vm.failure === 'hangs-on-boot') return;
        return then(await vm.boot());
      }
      case 'PUT vm.reboot':
        return then(await vm.reboot());
      case 'PUT vm.pause':
        vm.pause();
        return done();
      case 'PUT vm.resume':
        vm.resume();
        return done();
      case 'PUT vm.power-button':
        vm.pressPowerButton();
        return done();
      case 'PUT vm.shutdown':
        vm.shutdown();
        return done();
      case 'PUT vm.delete':
        vm.delete();
        return done();
      case 'PUT vmm.shutdown':
        return void response.end(() => vm.failure === 'hangs-on-stop' || exit());
      default:
        throw PATHS.test(request.url ?? '')
          ? new StandInRefusal(400, 'Bad Request')
          : new StandInRefusal(404, 'Not Found');
    }
  }

  process.on('SIGTERM', () => vm.failure === 'hangs-on-stop' || exit());
  if (name === 'never-listens') return void setInterval(() => {}, 1_000_000);
  server.on('error', error => exitWith(1, `Fatal error: CreateApiServerSocket(${error.message})`));
  if (descriptor !== undefined) server.listen({ fd: descriptor });
  else listenUnlessInUse(server, apiSocket);
}

function abort(): void {
  writeSync(2, 'assertion failed: the stand-in aborts\n');
  process.kill(process.pid, 'SIGABRT');
}

/** A socket that a killed VMM left behind is replaced, one that somebody listens on is not. */
function listenUnlessInUse(server: Server, path: string): void {
  const other = connect(path);
  other.once('connect', () =>
    exitWith(1, `Error: API socket "${path}" is already in use by another running instance`),
  );
  other.once('error', () => {
    process.umask(0o077);
    rmSync(path, { force: true });
    server.listen(path);
  });
}

/** What vm.info of a release shows that does not take everything. */
function forget(name: string, key: string, value: unknown): unknown {
  if (name === 'drops-key' && key === 'system_uuid') return undefined;
  if (name !== 'changes-string' || key !== 'oem_strings' || !Array.isArray(value)) return value;
  return [...value.slice(0, -1), String(value.at(-1)).slice(0, -1)];
}

function describeProgram(): object {
  return { build_version: 'v53.0.0', version: '53.0.0', pid: process.pid, features: ['kvm'] };
}

function refuseConnectionsOverLimit(server: ReturnType<typeof createServer>): void {
  let connections = 0;
  server.prependListener('connection', (socket: Socket) => {
    connections++;
    socket.once('close', () => connections--);
    if (connections <= CONNECTION_LIMIT) return;
    const text = '{ "error": "Too many open connections" }';
    socket.end(`HTTP/1.1 503\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  const sizeBytes = Number(request.headers['content-length'] ?? 0);
  if (sizeBytes > BODY_LIMIT_BYTES) {
    const why = `Request payload with size ${sizeBytes} is larger than the limit of ${BODY_LIMIT_BYTES}`;
    throw new StandInRefusal(400, `${why} allowed by server.`);
  }
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  return body;
}

function parseVmConfig(body: string, name: string): StandInVmConfig {
  if (body === '') throw new StandInRefusal(400);
  let config: StandInVmConfig;
  try {
    config = JSON.parse(body);
  } catch {
    throw new StandInRefusal(400, 'Failed to deserialize JSON', 'expected value at line 1 column 1');
  }
  const problem =
    name === 'refuses-create'
      ? `invalid type: string ${JSON.stringify(config.platform?.oem_strings?.at(-1))}, expected u64`
      : refuseVmConfig(config);
  if (problem) throw new StandInRefusal(400, 'Failed to deserialize JSON', `${problem} at line 1 column 1`);
  return config;
}

const [, , name = '', ...argv] = process.argv;
runStandIn(name, parseOptions(argv));
