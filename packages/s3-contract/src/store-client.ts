import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { ALLOWED_OPERATIONS } from './allowed-operations.js';
import type { ContractStore } from './contract.js';

/** The SDK's advice about streams and empty bodies is about what the cases do on purpose. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const CONNECTION_TIMEOUT_MS = 5000;
const ANSWER_TIMEOUT_MS = 30_000;

/** A client of the store with one attempt a request, which refuses operations that are not on the list. */
export function clientFor(store: ContractStore, config: S3ClientConfig, { isOwnOnly = false } = {}): S3Client {
  const client = new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: ANSWER_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
    ...config,
  });
  client.middlewareStack.add(
    (next, context) => (args) => {
      const operation = context.commandName?.replace(/Command$/, '') ?? '';
      if (!isOwnOnly && !ALLOWED_OPERATIONS.has(operation)) {
        throw new Error(`${operation} is not on the list of allowed operations`);
      }
      return next(args);
    },
    { step: 'initialize', name: 'refuseDangerousOperations' },
  );
  return client;
}
