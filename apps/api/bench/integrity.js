/** What protects a PUT's bytes on their way to the store, TLS aside: told by its headers, names in lower case. */
export function describeIntegrity(headers) {
  const payload = headers['x-amz-content-sha256'] ?? 'nothing';
  const checksums = Object.keys(headers).flatMap((name) => /^x-amz-checksum-(.+)$/.exec(name)?.[1] ?? []);
  return [
    /^[0-9a-f]{64}$/.test(payload) ? 'signed SHA-256' : payload.toLowerCase().replaceAll('-', ' '),
    ...(headers['content-md5'] === undefined ? [] : ['Content-MD5']),
    ...checksums.map((name) => name.toUpperCase()),
    ...(headers['x-amz-trailer'] === undefined ? [] : [`trailer ${headers['x-amz-trailer']}`]),
  ].join(' + ');
}
