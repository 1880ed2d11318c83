export interface RealStore {
  readonly name: 'swift' | 'ceph';
  /** Of the program, without what Debian appends: `2.30.1`. */
  readonly version: string;
  readonly endpoint: string;
  /** A client has to sign for exactly this region. */
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Highest part number that its settings allow. */
  readonly maxParts: number;
  /** SIGKILL for the process that speaks S3; what stores the bytes runs on. Resolves when the process is gone. */
  killGateway(): Promise<void>;
  /** Starts the gateway again, on the same port and data; kills it first when it still runs. Resolves when it answers. */
  restart(): Promise<void>;
  /** Ends every process and removes the data. A second call waits for the same end. */
  stop(): Promise<void>;
}

export interface RealStoreOptions {
  /** Port of the S3 endpoint on 127.0.0.1; any free one by default. The other servers always take free ones. */
  port?: number;
  /** Where the folder with data, settings and logs is made, and removed by `stop`; os.tmpdir() by default. */
  parentDir?: string;
}
