// Asks a UNIX socket the same again and again over a few connections, with as little work of its own as can be: the
// client shares the machine with the server.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { spreadOf } from './row.js';

const CONNECTIONS = 4;
const HEAD_END = '\r\n\r\n';

export interface Load {
  requestsPerSecond: number;
  medianMs: number;
  p99Ms: number;
  answerBytes: number;
}

export async function load(socketPath: string, path: string, durationMs: number): Promise<Load> {
  const latenciesMs: number[] = [];
  const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const beganAt = performance.now();
  const endsAt = beganAt + durationMs;
  let answerBytes = 0;
  const ask = async () => {
    let socket: Socket | undefined;
    while (performance.now() < endsAt) {
      const askedAt = performance.now();
      socket ??= await open(socketPath);
      const answer = await exchange(socket, request);
      latenciesMs.push(performance.now() - askedAt);
      answerBytes = answer.bodyBytes;
      // The daemon takes so many requests on a connection, and says which is the last.
      if (!answer.isLast) continue;
      socket.destroy();
      socket = undefined;
    }
    socket?.destroy();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, ask));
  const tookMs = performance.now() - beganAt;
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  return {
    requestsPerSecond: (1000 * latenciesMs.length) / tookMs,
    medianMs: spreadOf(sorted).median,
    p99Ms: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN,
    answerBytes,
  };
}

async function open(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath);
  await once(socket, 'connect');
  return socket;
}

interface Answer {
  bodyBytes: number;
  isLast: boolean;
}

function exchange(socket: Socket, request: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let head = '';
    let missingBytes = Number.NaN;
    let bodyBytes = 0;
    const settle = (outcome: () => void) => {
      socket.off('data', take).off('close', end);
      outcome();
    };
    const end = () => settle(() => reject(new Error('the server closed the connection')));
    const take = (bytes: Buffer) => {
      let arrivedBytes = bytes.length;
      if (Number.isNaN(missingBytes)) {
        head += bytes.toString('latin1');
        const headBytes = head.indexOf(HEAD_END) + HEAD_END.length;
        if (headBytes < HEAD_END.length) return;
        if (!head.startsWith('HTTP/1.1 200')) return settle(() => reject(new Error(head.slice(0, 400))));
        bodyBytes = Number(/content-length: (\d+)/i.exec(head)?.[1]);
        missingBytes = bodyBytes;
        arrivedBytes = head.length - headBytes;
      }
      missingBytes -= arrivedBytes;
      if (missingBytes <= 0) settle(() => resolve({ bodyBytes, isLast: /^connection: close/im.test(head) }));
    };
    socket.on('data', take).on('close', end);
    socket.write(request);
  });
}
