// A VMM without a process, to warm up what talks to one: it takes every VM config, and shows the last one.
import { Duplex } from 'node:stream';

/** @returns what connects to it */
export function playVmm(): () => Promise<Duplex> {
  let config = '{}';
  return async () => {
    let request = '';
    return new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        // All of a request is written at once, and answered after that.
        if (request === '') setImmediate(() => this.push(answer(request)));
        request += chunk.toString('latin1');
        done();
      },
    });
  };

  function answer(request: string): string {
    if (request.startsWith('GET ')) {
      const info = `{"config":${config},"state":"Created"}`;
      return `HTTP/1.1 200 OK\r\ncontent-length: ${info.length}\r\n\r\n${info}`;
    }
    config = request.slice(request.indexOf('\r\n\r\n') + 4);
    return 'HTTP/1.1 204 No Content\r\n\r\n';
  }
}
