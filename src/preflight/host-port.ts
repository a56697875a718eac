// Whether a port of the host can be listened on: tried, since only the kernel knows of every address and namespace.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { systemErrorCode } from '../errors.js';

export interface HostPort {
  protocol: 'tcp' | 'udp';
  address: string;
  port: number;
}

/** @param value `tcp ADDRESS:PORT`, as HostClaim has it */
export function parsePortClaim(value: string): HostPort {
  const [, protocol, address = '', port] = /^(tcp|udp) (.*):(\d+)$/.exec(value) ?? [];
  return { protocol: protocol === 'udp' ? 'udp' : 'tcp', address, port: Number(port) };
}

/** What else keeps a port from being listened on, permissions say, is for the VMM to tell. */
export async function isPortFree(wanted: HostPort): Promise<boolean> {
  try {
    await (wanted.protocol === 'tcp' ? tryTcp(wanted) : tryUdp(wanted));
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'EADDRINUSE';
  }
}

function tryTcp({ address, port }: HostPort): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function tryUdp({ address, port }: HostPort): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4').once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve()));
  });
}
