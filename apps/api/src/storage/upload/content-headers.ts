import { format, isTypeValid, parse } from 'content-type';
import { StorageError } from '../storage.errors.js';

/** Types that a browser shows without running what is inside. SVG, HTML and XML (any type with +xml) can hold scripts. */
const INLINE_TYPE =
  /^(video\/[\w.-]+|audio\/[\w.-]+|image\/(png|jpeg|gif|webp|avif|bmp)|application\/pdf|text\/plain)$/;

/** A browser may show this type in a tab of its own; anything else is downloaded. */
export function isInlineType(contentType: string): boolean {
  return INLINE_TYPE.test(mediaTypeOf(contentType));
}

/**
 * Checks a MIME type that a caller gave: `type/subtype`, parameters allowed, at most 255 characters.
 *
 * @throws StorageError INVALID_MIME_TYPE
 */
export function assertMimeType(contentType: string): void {
  const isValid =
    typeof contentType === 'string' &&
    /^[\x21-\x7e][\x20-\x7e]{0,254}$/.test(contentType) &&
    isTypeValid(mediaTypeOf(contentType));
  if (!isValid) throw new StorageError('INVALID_MIME_TYPE', 'mimeType must be a MIME type, such as video/mp4');
}

/**
 * The type as everybody reads it alike: values that are no tokens in quotes, what is no parameter left out. Browsers take
 * what stands behind a bare comma for another type, which may run scripts.
 */
export function plainType(contentType: string): string {
  return format(parse(contentType));
}

/** Headers kept with the object. A type that must not be shown in a tab is stored as an attachment for good. */
export function contentHeaders(contentType: string, contentEncoding?: string) {
  return {
    ContentType: plainType(contentType),
    ...(isInlineType(contentType) ? {} : { ContentDisposition: 'attachment' }),
    ...(contentEncoding !== undefined ? { ContentEncoding: contentEncoding } : {}),
  };
}

function mediaTypeOf(contentType: string): string {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
