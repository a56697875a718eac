// The least that a Node daemon on a UNIX socket can be: fastify, one route, nothing behind it. hello-server.js SOCKET
import fastify from 'fastify';

const [path = ''] = process.argv.slice(2);
const app = fastify();
// As the daemon has it.
app.server.maxRequestsPerSocket = 1;
app.get('/', async () => ({ hello: 'world' }));
await app.listen({ path });
process.send?.('listening');
