// A program on the HTTP API with types that openapi-typescript makes of openapi.json: it defines a VM, starts it, reads it, stops it
// and deletes it. test/integration/generated-client.test.ts compiles and runs it.
//
//   openapi-typescript dist/bundle/openapi.json --output api.d.ts
//   node drive-vm.js ADMIN_SOCKET NAME DEFINITION.json
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import createClient from 'openapi-fetch';
import type { paths } from './api.js';

const [, , socketPath = '', name = '', file = ''] = process.argv;

/** `fetch` over a UNIX socket. */
async function fetchOverSocket(input: Request): Promise<Response> {
  const { pathname, search } = new URL(input.url);
  const body = Buffer.from(await input.arrayBuffer());
  const { method } = input;
  const headers = { ...Object.fromEntries(input.headers), 'content-length': body.length };
  return new Promise((resolve, reject) => {
    request({ socketPath, path: pathname + search, method, headers }, response => {
      const { statusCode: status = 500, headers: answered } = response;
      const hasBody = status !== 204 && status !== 304;
      const stream = hasBody ? (Readable.toWeb(response) as ReadableStream<Uint8Array>) : null;
      resolve(new Response(stream, { status, headers: answered as Record<string, string> }));
    })
      .on('error', reject)
      .end(body);
  });
}

const client = createClient<paths>({ baseUrl: 'http://localhost', fetch: fetchOverSocket });
const print = (text: unknown) => process.stdout.write(`${text}\n`);
const params = { path: { name } };

const body = JSON.parse(readFileSync(file, 'utf8'));
const put = await client.PUT('/v1/vms/{name}', { params, body });
if (put.error !== undefined) throw new Error(put.error.detail);
print(`${put.response.status} ${put.response.headers.get('location')}`);

const started = await client.POST('/v1/vms/{name}/start', {
  params: { ...params, query: { wait: 'running' } },
});
if (started.error !== undefined) throw new Error(started.error.detail);
const { state } = started.data;
// Its states are known to the compiler.
if (state === 'failed') throw new Error(JSON.stringify(started.data.problem));
print(state);

const stopped = await client.POST('/v1/vms/{name}/stop', { params: { ...params, query: { grace: 5 } } });
print(stopped.data?.state);

const deleted = await client.DELETE('/v1/vms/{name}', { params });
print(deleted.response.status);

const gone = await client.GET('/v1/vms/{name}', { params });
print(gone.error?.code);
