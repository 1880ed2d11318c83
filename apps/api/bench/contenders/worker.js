// `pnpm worker`, which answers each message with the requests that it has sent to the store, by method.
import { subscribe } from 'node:diagnostics_channel';

const requests = {};
subscribe('http.client.request.start', ({ request }) => {
  requests[request.method] = (requests[request.method] ?? 0) + 1;
});
process.on('message', () => process.send({ requests }));
process.send('started');
process.argv.push('worker');
await import('../../dist/cli/main.js');
