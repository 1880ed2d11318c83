// What the engine is asked for a transfer of the plan.

/** Type of files for which the caller hands out fresh links. */
export const FRESH_LINKS_TYPE = 'chaos-fresh-links';
const TYPE = 'chaos';
/** What no row, log line or error may hold: every token begins with it. */
export const CANARY = 'canary-';

export function toRequest(transfer, { workspaceId, sourceUrl, otherUrl, sha256, secretKey }) {
  const token = `${CANARY}${transfer.number}`;
  return {
    file: {
      workspaceId,
      path: pathOf(transfer, workspaceId),
      type: transfer.hasFreshLinks ? FRESH_LINKS_TYPE : TYPE,
      mimeType: 'video/mp4',
      sourceUrl: withToken(sourceUrl, token),
      sourceHeaders: { authorization: `Bearer ${token}` },
      ...(sha256 !== undefined ? { expected: { sha256 } } : {}),
    },
    caller: { ...transfer.caller, otherUrl: withToken(otherUrl, token) },
    secrets: [CANARY, secretKey],
  };
}

/** No path begins with another: the rules of the fault proxy go by beginnings. */
export function pathOf({ number }, workspaceId) {
  return `chaos/${workspaceId}/${number}.mp4`;
}

function withToken(url, token) {
  const withToken = new URL(url);
  withToken.searchParams.set('token', token);
  return withToken.href;
}
