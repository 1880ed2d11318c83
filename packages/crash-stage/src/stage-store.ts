import { type LocalS3Process, spawnLocalS3 } from '@s3-transfer/local-s3';

const KEYS = { accessKeyId: 'crash-stage-key', secretAccessKey: 'crash-stage-secret-key' };

/** The S3 server below a stage. */
export interface StageStore {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** kill -9 for what speaks S3. */
  kill(): Promise<void>;
  /** On its port, with its data. */
  restart(): Promise<void>;
}

/** A local-s3 of the stage alone. */
export class OwnStore implements StageStore {
  readonly region = 'us-east-1';
  readonly accessKeyId = KEYS.accessKeyId;
  readonly secretAccessKey = KEYS.secretAccessKey;

  private constructor(
    private readonly dataDir: string,
    private server: LocalS3Process,
  ) {}

  static async start(dataDir: string): Promise<OwnStore> {
    return new OwnStore(dataDir, await spawnLocalS3({ dataDir, ...KEYS }));
  }

  get endpoint(): string {
    return this.server.endpoint;
  }

  kill(): Promise<void> {
    return this.server.kill();
  }

  async restart(): Promise<void> {
    await this.server.close();
    this.server = await spawnLocalS3({ dataDir: this.dataDir, port: this.server.port, ...KEYS });
  }

  close(): Promise<void> {
    return this.server.close();
  }
}
