/** A name for the object from the last segment of a URL, in characters that no shell, browser or store minds. */
export function fileNameOf(sourceUrl: string): string {
  const lastSegment = URL.parse(sourceUrl)?.pathname.split('/').at(-1) ?? '';
  let name = lastSegment;
  try {
    name = decodeURIComponent(lastSegment);
  } catch {
    // A stray percent sign: the segment is taken as it stands.
  }
  const plain = name
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(-100)
    .replace(/^[-.]+/, '');
  return plain || 'file';
}
