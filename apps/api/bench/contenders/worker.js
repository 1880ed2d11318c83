// `pnpm worker`, which answers each message with the requests that it has sent to the store, by method.
import { subscribe } from 'node:diagnostics_channel';

const requests = {};
subscribe('http.client.request.start', ({ request }) => {
  requests[request.method] = (requests[request.method] ?? 0) + 1;
});
process.on('message', () => process.send({ requests }));
process.argv.push('worker');
console.log = () => {}; // Where it works is said in the row.
process.send('started');
await import('../../dist/cli/main.js');
