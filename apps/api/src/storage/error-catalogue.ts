/** What is known of a code, whoever meets it. `docs/errors.md` says the same words. */
export interface ErrorDescription {
  /** What happened, in one plain sentence. */
  readonly cause: string;
  /** The same request, unchanged, may go well later, and nobody has to do anything for it. */
  readonly isRetryable: boolean;
  /** When a failure with this code says the opposite: its own `isRetryable` counts. */
  readonly unless?: string;
  /** What to do: which option, command or person. */
  readonly advice: string;
}

const CATALOGUE = {
  // The call itself is wrong: nothing was asked of a database, a store or a source.
  INVALID_PATH: {
    cause: 'the path breaks a rule for object keys, or does not lie under its workspace',
    isRetryable: false,
    advice: "change the path as the message says; its first or second segment is the workspace's id",
  },
  INVALID_TYPE: {
    cause: 'the type is not a short name of letters, digits and a few signs',
    isRetryable: false,
    advice: 'send a type such as recording or user:avatar',
  },
  INVALID_MIME_TYPE: {
    cause: 'what was given as MIME type is none',
    isRetryable: false,
    advice: 'send one such as video/mp4; a transfer may leave mimeType out',
  },
  INVALID_EXPIRY: {
    cause: 'a presigned URL cannot live as long as was asked for',
    isRetryable: false,
    advice: 'send expiresIn as 1 to 604,800 whole seconds; a new URL can be had at any time',
  },
  INVALID_FILENAME: {
    cause: 'the name to download the file under is empty, too long, or holds slashes or invisible characters',
    isRetryable: false,
    advice: 'send another filename, or leave it out: the last segment of the path is taken then',
  },
  INVALID_CURSOR: {
    cause: 'the cursor is not one that a list gave',
    isRetryable: false,
    advice: 'read the list from its beginning, without a cursor',
  },
  INVALID_OPTION: {
    cause: 'an option of the call has a value that it cannot have',
    isRetryable: false,
    advice: 'mend the field that the message names',
  },
  BUCKET_NOT_ALLOWED: {
    cause: 'the call names a bucket that this server does not work with',
    isRetryable: false,
    advice: 'leave the bucket out, or add it to S3_ALLOWED_BUCKETS',
  },
  SOURCE_URL_INVALID: {
    cause:
      'the source URL breaks a rule: it is no http(s) address, holds a password, or uses a port of another service',
    isRetryable: false,
    advice:
      'mend what the message names; passwords and tokens belong into sourceHeaders, http:// needs SOURCE_ALLOW_HTTP',
  },

  // What the call names is not there, not ready or held by another.
  WORKSPACE_NOT_FOUND: {
    cause: 'there is no such workspace, or the token does not open it',
    isRetryable: false,
    advice: 'check the id, and the workspaces claim of the token',
  },
  FILE_NOT_FOUND: {
    cause: 'the workspace has no such file',
    isRetryable: false,
    advice: 'check the id; a file that was deleted for good does not come back',
  },
  WEBHOOK_NOT_FOUND: {
    cause: 'the workspace has no such webhook',
    isRetryable: false,
    advice: "check the id; GET the workspace's webhooks for those that there are",
  },
  DELIVERY_NOT_FOUND: {
    cause: 'there is no such delivery of a webhook, or it ended longer ago than deliveries are kept',
    isRetryable: false,
    advice: 'check the id; EVENT_RETENTION_DAYS says for how long deliveries are kept',
  },
  FILE_NOT_READY: {
    cause: 'the file is not in the bucket yet: its status is not DONE',
    isRetryable: true,
    unless: 'its transfer has FAILED',
    advice: 'wait until the status is DONE; when it is FAILED, act on transferError and send the transfer again',
  },
  FILE_DELETED: {
    cause: 'the file is deleted',
    isRetryable: false,
    advice: 'restore the file first',
  },
  FILE_PURGED: {
    cause: 'the file was deleted for good: neither its row nor its object is left',
    isRetryable: false,
    advice: 'transfer it again; DELETED_RETENTION_DAYS says for how long a deleted file can be restored',
  },
  FILE_BUSY: {
    cause: 'somebody else transfers or removes the file right now, or the store does not let go of its object',
    isRetryable: true,
    advice: 'try again in a minute; if it stays so, see whether the bucket locks its objects (retention, legal hold)',
  },
  WEBHOOK_LIMIT: {
    cause: 'the workspace has as many webhooks as it may have',
    isRetryable: false,
    advice: 'delete one that nobody needs any more',
  },
  QUOTA_EXCEEDED: {
    cause: 'the workspace has had the files or the bytes that it may have in one day',
    isRetryable: true,
    unless: 'the file is larger than the bytes of a whole day',
    advice:
      'send it again the next day (UTC), or raise WORKSPACE_FILES_PER_DAY or WORKSPACE_BYTES_PER_DAY; a file that was accepted waits for that day by itself',
  },
  PATH_TAKEN: {
    cause: 'another file has this path, perhaps a deleted one',
    isRetryable: false,
    advice: 'choose another path, or delete the other file for good first',
  },
  IDEMPOTENCY_KEY_REUSED: {
    cause: 'the idempotency key belongs to another request of this workspace',
    isRetryable: false,
    advice: 'send each new request with a key of its own',
  },
  OBJECT_EXISTS: {
    cause: 'the bucket holds an object at this path that is not of this file, and it was left alone',
    isRetryable: false,
    advice: 'choose another path, or move that object away',
  },

  // The source did not give the file.
  SOURCE_ADDRESS_BLOCKED: {
    cause: 'the source is not at a public address, its name does not exist, or this server may not ask it',
    isRetryable: false,
    advice:
      'check the host name; a source of your own can be allowed by SOURCE_ALLOWED_ADDRESSES or SOURCE_ALLOWED_HOSTS, and the log of the server says what stood against it',
  },
  SOURCE_UNREACHABLE: {
    cause: 'no connection to the source came about, or it ended without an answer',
    isRetryable: true,
    unless: 'its certificate or TLS is wrong',
    advice: 'see whether the source is up; a certificate that is refused has to be mended by its owner',
  },
  SOURCE_STATUS: {
    cause: 'the source answered with another status than that of a file',
    isRetryable: false,
    unless: 'the status is 408, 425, 429, 500, 502, 503 or 504, or a fresh link could not be had this time',
    advice:
      '401, 403, 410: the link has expired, so get a new one and send the same request with it; 404: check the link; else ask whoever runs the source',
  },
  SOURCE_REDIRECT: {
    cause: 'the source redirected too often, from https to http, or to no address',
    isRetryable: false,
    advice: 'send the address where the redirects end; SOURCE_MAX_REDIRECTS limits their number',
  },
  SOURCE_TIMEOUT: {
    cause: 'the source was silent for too long, or the whole download took too long',
    isRetryable: true,
    advice:
      'try again later; SOURCE_HEADERS_TIMEOUT_MS, SOURCE_STALL_TIMEOUT_MS and SOURCE_DEADLINE_SECONDS are the limits',
  },
  SOURCE_TOO_SLOW: {
    cause: 'the source sent fewer bytes a second than it must',
    isRetryable: true,
    advice: 'try again later, or lower SOURCE_MIN_BYTES_PER_SECOND',
  },
  SOURCE_EMPTY: {
    cause: 'the source sent no byte, and did not say that the file is empty',
    isRetryable: false,
    advice: 'check the link; a file that is empty on purpose needs Content-Length: 0',
  },
  SOURCE_TRUNCATED: {
    cause: 'the source broke off before the end of the file',
    isRetryable: true,
    advice:
      'try again; where it goes on, the source has to send an ETag or Last-Modified so that the rest can be asked for',
  },
  SOURCE_CHANGED: {
    cause: 'the file at the source became another while it was read',
    isRetryable: true,
    advice: 'try again when the source has stopped writing to it',
  },
  SOURCE_NOT_RESUMABLE: {
    cause: 'the source does not give the rest of a file whose beginning is stored, or not of the same version',
    isRetryable: true,
    advice: 'nothing: the next try begins anew',
  },
  SOURCE_LENGTH_UNPROVEN: {
    cause: 'the source gives neither a length nor chunks, so that nobody can tell a whole file from half of one',
    isRetryable: false,
    advice: 'have the source send Content-Length, or take the risk by allowUnprovenLength',
  },
  SOURCE_TOO_LARGE: {
    cause: 'the file is larger than is allowed',
    isRetryable: false,
    advice: 'raise maxBytes of the call or SOURCE_MAX_BYTES, whichever is lower',
  },
  SOURCE_PROTOCOL: {
    cause: 'the source does not keep to HTTP, or sent more than it announced',
    isRetryable: false,
    unless: 'it went wrong in the middle of the file or in a range',
    advice: 'tell whoever runs the source what the message says',
  },
  SOURCE_SIZE_MISMATCH: {
    cause: 'the file has another size than the call expects',
    isRetryable: false,
    advice: 'check the link, and expected.size of the call',
  },
  SOURCE_CHECKSUM_MISMATCH: {
    cause: 'the file has another SHA-256 than the call expects',
    isRetryable: false,
    advice: 'check the link, and expected.sha256 of the call',
  },
  SOURCE_TYPE_MISMATCH: {
    cause: 'the first bytes are of another type than the file shall be, often those of a login page',
    isRetryable: false,
    advice:
      'open the link where nobody is logged in; send one that needs no session, or mend expected.type or mimeType',
  },
  SOURCE_LOST: {
    cause: 'nothing says any more where the bytes come from: a stream ended with its process, or its key is gone',
    isRetryable: false,
    advice: 'send the same request again with its source; if the key was changed, add it to DATA_ENCRYPTION_OLD_KEYS',
  },

  // The store did not take or show the object.
  OBJECT_NOT_FOUND: {
    cause: 'the bucket has no object at this path',
    isRetryable: false,
    advice: 'check the path; an object can have been deleted by other means than this product',
  },
  BUCKET_NOT_FOUND: {
    cause: 'the store has no such bucket',
    isRetryable: false,
    advice:
      'make the bucket (only start makes one, in its embedded store), or mend S3_BUCKET, S3_REGION and S3_ENDPOINT',
  },
  STORE_ACCESS_DENIED: {
    cause: 'the store refused the keys, or what they asked for',
    isRetryable: false,
    unless: "the signature's time was at fault, which sets itself right",
    advice: 'run pnpm storage doctor: it says whether keys, clock or rights on the bucket are wrong',
  },
  STORE_UNREACHABLE: {
    cause: 'the store did not answer, or answered with an error of its own',
    isRetryable: true,
    unless: 'the store does not have the call (501)',
    advice: 'see whether the store is up; if it is, run pnpm storage doctor',
  },
  UPLOAD_FAILED: {
    cause: 'the store refused a request or does not show what it was sent, or something failed that nobody foresaw',
    isRetryable: true,
    unless: 'the store refused the request itself',
    advice: 'do what the message says; else read the log of the server, and run pnpm storage doctor',
  },
  UPLOAD_TOO_LARGE: {
    cause: 'the file has more bytes than the parts of this store hold, or a part more than the memory for all parts',
    isRetryable: false,
    advice:
      'raise S3_PART_SIZE_BYTES for the first and TRANSFER_MEMORY_BYTES for the second; the message says which it is',
  },
  UPLOAD_OUTCOME_UNKNOWN: {
    cause: 'the store never said whether it put the object together',
    isRetryable: true,
    advice: 'send the same request again: it finds out, and keeps the object if it is whole',
  },
  STORED_BYTES_CHANGED: {
    cause: 'a stored part is not what was sent, or the object changed while it was read back',
    isRetryable: true,
    advice: 'nothing: the next try begins anew; where it happens often, examine the disks of the store',
  },
  CORS_UNSUPPORTED: {
    cause: 'the store has no call for CORS rules in its S3 API',
    isRetryable: false,
    advice:
      'set the rules by other means of the store (on OpenStack Swift, container metadata): infra/s3/README.md shows how',
  },
  LIFECYCLE_UNSUPPORTED: {
    cause: 'the store has no call for lifecycle rules in its S3 API',
    isRetryable: false,
    advice: 'do without: what failed clean-ups leave is removed all the same; infra/s3/README.md says more',
  },

  // The transfer was ended from outside.
  TRANSFER_CANCELLED: {
    cause: 'somebody cancelled the transfer or deleted its file, or the process stopped that held its stream',
    isRetryable: false,
    unless: 'the process stopped',
    advice: 'send the same request again if the file is still wanted',
  },
  TRANSFER_GOES_ON: {
    cause: 'the caller stopped waiting before the transfer ended; the transfer itself goes on',
    isRetryable: true,
    advice: 'read the status of the file later, or send the same request again to go on waiting',
  },
  TRANSFER_LOST: {
    cause: 'another process has taken the transfer over, or the path into use',
    isRetryable: true,
    advice: 'nothing: the same request joins the transfer; where it happens often, raise TRANSFER_LEASE_SECONDS',
  },
  TRANSFER_CRASHED: {
    cause: 'process after process died while it ran this transfer, and none stored more than the one before',
    isRetryable: false,
    advice: 'see what the workers died of (memory, a crash), then retry it; TRANSFER_MAX_CRASHES is the limit',
  },

  // The database holds the truth; without it nothing can be promised.
  DATABASE_UNAVAILABLE: {
    cause: 'PostgreSQL cannot be reached, or takes no changes now: read-only, or out of disk or connections',
    isRetryable: true,
    advice: 'see whether it runs and has room, and check DATABASE_URL; transfers go on when it is back',
  },
  STORAGE_OFF: {
    cause: 'this server runs without a store',
    isRetryable: false,
    advice: 'set S3_ENDPOINT and the variables below it in .env.example, and start the server again',
  },
} satisfies Record<string, ErrorDescription>;

export type StorageErrorCode = keyof typeof CATALOGUE;

/**
 * Everything that storage can answer instead of a result. The codes are part of the API: features, HTTP clients and
 * rows (`StorageFile.transferError` starts with one) rely on them, so none is ever renamed.
 */
export const ERROR_CATALOGUE: Readonly<Record<StorageErrorCode, ErrorDescription>> = CATALOGUE;
