import { assertObjectKey, assertPathOfWorkspace, isUuid } from '../object-key.js';
import { StorageError } from '../storage.errors.js';
import { assertMimeType } from '../upload/content-headers.js';
import { assertObjectOptions, type ObjectOptions } from '../upload/object-options.js';

const TYPE_MAX_LENGTH = 100;

/** What the bytes must be; a file that is not is refused, and nothing of it is kept. */
export interface Expectation {
  /** In bytes. */
  size?: number;
  /** In hex. */
  sha256?: string;
  /** By the first bytes: a MIME type, or a family such as `video/*`. */
  type?: string;
}

/** What every new file is described by. */
export interface NewFile {
  workspaceId: string;
  path: string;
  type: string;
  mimeType?: string;
  expected?: Expectation;
  /** In bytes. */
  maxBytes?: number;
  object?: ObjectOptions;
}

/**
 * Checks what does not depend on where the bytes come from.
 *
 * @throws StorageError WORKSPACE_NOT_FOUND, INVALID_* naming the field
 */
export function assertNewFile({ workspaceId, path, type, mimeType, expected = {}, maxBytes, object }: NewFile): void {
  if (!isUuid(workspaceId)) throw new StorageError('WORKSPACE_NOT_FOUND', 'workspaceId is not a UUID');
  assertObjectKey(path);
  assertPathOfWorkspace(path, workspaceId);
  if (typeof type !== 'string' || !/^[\w.:/-]+$/.test(type) || type.length > TYPE_MAX_LENGTH) {
    throw new StorageError('INVALID_TYPE', `type must be 1 to ${TYPE_MAX_LENGTH} letters, digits and _ . : / -`);
  }
  if (mimeType !== undefined) assertMimeType(mimeType);
  assertBytes('maxBytes', maxBytes, 1);
  assertBytes('expected.size', expected.size, 0);
  if (expected.sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(expected.sha256)) {
    throw new StorageError('INVALID_OPTION', 'expected.sha256 must be 64 hexadecimal digits');
  }
  if (expected.type !== undefined && !/^[a-z]+\/(\*|[\w.+-]+)$/i.test(expected.type)) {
    throw new StorageError('INVALID_OPTION', 'expected.type must be a MIME type such as video/mp4 or video/*');
  }
  if (object !== undefined) assertObjectOptions(object, mimeType ?? '');
}

/** @throws StorageError INVALID_OPTION */
export function assertIdempotencyKey(key: string | undefined): void {
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return;
  throw new StorageError('INVALID_OPTION', 'idempotencyKey must be 1 to 255 printable ASCII characters without spaces');
}

function assertBytes(field: string, value: number | undefined, min: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min)) return;
  throw new StorageError('INVALID_OPTION', `${field} must be a whole number of bytes, at least ${min}`);
}
