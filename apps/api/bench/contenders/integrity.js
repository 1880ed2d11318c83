// What this process's own requests carry, for stores that do not tell.
import { subscribe } from 'node:diagnostics_channel';
import { describeIntegrity } from '../integrity.js';

/** Watches from now on; the result tells what the first PUT carried. */
export function watchIntegrity() {
  let seen;
  subscribe('http.client.request.start', ({ request }) => {
    if (request.method === 'PUT') seen ??= describeIntegrity(request.getHeaders());
  });
  return () => seen;
}
