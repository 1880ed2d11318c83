import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type';
import { StorageError } from '../storage.errors.js';

/** What is looked at: file-type needs no more for the types that it tells by their beginning. */
const LOOKED_AT_BYTES = 4_100;
/** How a web page begins: perhaps a byte order mark, white space and comments, then one of its first elements. */
const HTML_BEGINNING =
  /^(?:\xef\xbb\xbf)?(?:\s|<!--[\s\S]*?-->)*<(?:!doctype\s+html|html|head|body|title|script|meta)[\s>]/i;
/** What a page is never stored as, unless the caller says that any type will do. */
const NEVER_A_PAGE = /^(video|audio|image)\//;

/**
 * Says what a file is by its first bytes, where those tell: a MIME type, `text/html` for a web page, else undefined.
 */
export async function detectType(beginning: Buffer): Promise<string | undefined> {
  const bytes = beginning.subarray(0, LOOKED_AT_BYTES);
  if (HTML_BEGINNING.test(bytes.toString('latin1'))) return 'text/html';
  return (await fileTypeFromBuffer(bytes))?.mime;
}

/**
 * Refuses a file that is not what it is stored as: a login page instead of a video is what a link gives whose session
 * has ended.
 *
 * `expectedType`: a MIME type, or `video/*`. Types that have no signature (text, JSON) are refused only when the bytes
 * are certainly something else. Without it, a web page is refused where `mimeType` is a video, a sound or an image.
 * @throws StorageError SOURCE_TYPE_MISMATCH
 */
export async function checkType(
  beginning: Buffer,
  { expectedType, mimeType }: { expectedType?: string | undefined; mimeType: string | null },
): Promise<void> {
  const detected = await detectType(beginning);
  const declared = mediaType(expectedType ?? mimeType ?? '');
  const isRefused =
    expectedType === undefined
      ? detected === 'text/html' && NEVER_A_PAGE.test(declared)
      : !isOfType(detected, declared);
  if (!isRefused) return;
  const found = detected === 'text/html' ? 'a web page, perhaps a login page' : (detected ?? 'of no known type');
  throw new StorageError('SOURCE_TYPE_MISMATCH', `source is ${found}, and ${declared} was expected`);
}

function isOfType(detected: string | undefined, expected: string): boolean {
  if (detected === undefined) return !hasSignature(expected);
  if (expected.endsWith('/*')) return detected.startsWith(expected.slice(0, -1));
  if (detected === expected) return true;
  // Containers have many names (video/mp4, video/x-m4v, video/quicktime): the family decides.
  return NEVER_A_PAGE.test(expected) && familyOf(detected) === familyOf(expected);
}

function hasSignature(type: string): boolean {
  return NEVER_A_PAGE.test(type) || (supportedMimeTypes as ReadonlySet<string>).has(type);
}

function familyOf(type: string): string {
  return type.slice(0, type.indexOf('/'));
}

function mediaType(type: string): string {
  return type.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
