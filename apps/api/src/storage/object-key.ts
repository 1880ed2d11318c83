import { StorageError } from './storage.errors.js';

/** S3 user guide, "Creating object key names": 1,024 bytes of UTF-8. */
const KEY_MAX_BYTES = 1_024;
/** MinIO keeps each segment as a file name (cmd/xl-storage.go): more than 255 bytes cannot be stored there. */
const SEGMENT_MAX_BYTES = 255;

/**
 * Characters that are invisible, change the direction of text, or differ between databases, logs and S3 servers:
 * C0, DEL, C1, U+2028/9, soft hyphen, zero-width, bidi controls, BOM, noncharacters, private use and tags.
 */
const FORBIDDEN_CHARACTER =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufdd0-\ufdef\ufffe\uffff\u{e0000}-\u{e007f}]|\p{Co}|[\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{3fffe}\u{3ffff}\u{4fffe}\u{4ffff}\u{5fffe}\u{5ffff}\u{6fffe}\u{6ffff}\u{7fffe}\u{7ffff}\u{8fffe}\u{8ffff}\u{9fffe}\u{9ffff}\u{afffe}\u{affff}\u{bfffe}\u{bffff}\u{cfffe}\u{cffff}\u{dfffe}\u{dffff}\u{efffe}\u{effff}]/u;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Refuses every key that some S3 server, proxy, browser or database would read differently from the others, so that
 * a key means one object everywhere. Keys are refused, never repaired: a repaired key would be another file.
 *
 * Shape: 1 to 1,024 bytes of UTF-8 in NFC; segments divided by `/`, each 1 to 255 bytes.
 * @throws StorageError INVALID_PATH with the rule and the place where it is broken
 */
export function assertObjectKey(key: string): void {
  const broken = findBrokenRule(key);
  if (broken !== undefined) throw new StorageError('INVALID_PATH', `path ${broken}`);
  // Full-width dots and slashes (U+FF0E, U+2024 ...) become `..` behind anything that folds compatibility characters.
  const brokenWhenFolded = findBrokenRule(key.normalize('NFKC'));
  if (brokenWhenFolded !== undefined) {
    throw new StorageError(
      'INVALID_PATH',
      `path, with its compatibility characters folded (NFKC), ${brokenWhenFolded}`,
    );
  }
}

/**
 * Refuses a path that does not lie under its workspace: `<workspaceId>/...` or `<kind>/<workspaceId>/...`.
 *
 * @throws StorageError INVALID_PATH
 */
export function assertPathOfWorkspace(key: string, workspaceId: string): void {
  const [first = '', second = '', third] = key.split('/');
  const isUnderWorkspace =
    (first === workspaceId && second !== '') || (second === workspaceId && third !== undefined && !UUID.test(first));
  if (!isUnderWorkspace) {
    throw new StorageError(
      'INVALID_PATH',
      `path must lie under its workspace: ${workspaceId}/... or <kind>/${workspaceId}/...`,
    );
  }
}

/** Names that browsers save under are cut by file systems at 255 bytes; 150 characters fit in any script but the rarest. */
export const FILE_NAME_MAX_LENGTH = 150;

/**
 * Refuses a download name that could hide what it is: control, invisible and direction-changing characters, slashes.
 *
 * @throws StorageError INVALID_FILENAME
 */
export function assertFileName(filename: string): void {
  const isValid =
    filename.length >= 1 &&
    filename.length <= FILE_NAME_MAX_LENGTH &&
    filename.isWellFormed() &&
    !FORBIDDEN_CHARACTER.test(filename) &&
    !/[/\\]/.test(filename);
  if (!isValid) {
    throw new StorageError(
      'INVALID_FILENAME',
      `filename must be 1 to ${FILE_NAME_MAX_LENGTH} characters without slashes, control or invisible characters`,
    );
  }
}

export function isUuid(value: string): boolean {
  return typeof value === 'string' && UUID.test(value);
}

function findBrokenRule(key: string): string | undefined {
  if (typeof key !== 'string') return 'must be a string';
  if (key === '') return 'must not be empty';
  if (!key.isWellFormed()) return 'holds half of a surrogate pair';
  const bytes = Buffer.byteLength(key);
  if (bytes > KEY_MAX_BYTES) return `has ${bytes} bytes of UTF-8, and S3 takes ${KEY_MAX_BYTES}`;
  const forbidden = FORBIDDEN_CHARACTER.exec(key);
  if (forbidden !== null) {
    const codePoint = (forbidden[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return `holds the control or invisible character U+${codePoint} at position ${forbidden.index}`;
  }
  if (key !== key.normalize('NFC')) return 'is not in Unicode normal form C; normalise it with .normalize("NFC")';
  if (key.includes('\\')) return `holds a backslash at position ${key.indexOf('\\')}`;
  const percentEscape = /%[0-9a-f]{2}/i.exec(key);
  if (percentEscape !== null)
    return `holds the percent escape ${percentEscape[0]} at position ${percentEscape.index}; give the plain character`;
  for (const segment of key.split('/')) {
    if (segment === '') return 'has an empty segment: no leading, trailing or double slash';
    if (/^\.+$/.test(segment)) return `has the segment "${segment}", which clients and proxies fold away`;
    if (segment !== segment.trim()) return `has a segment that begins or ends with white space: "${segment}"`;
    if (segment.endsWith('.')) return `has a segment that ends with a dot: "${segment}"`;
    if (Buffer.byteLength(segment) > SEGMENT_MAX_BYTES) return `has a segment of more than ${SEGMENT_MAX_BYTES} bytes`;
  }
  return undefined;
}
