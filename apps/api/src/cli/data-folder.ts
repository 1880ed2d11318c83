import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The small files that commands keep in the data folder, beside the data of the embedded servers. They hold secrets of
 * development (the JWT secret, a token, S3 keys), so only their owner can read them.
 */
export class DataFolder {
  constructor(readonly path: string) {}

  /** The secret that signs development tokens; made once. */
  async jwtSecret(): Promise<string> {
    return await this.keepOnce('jwt-secret', () => randomBytes(48).toString('base64url'));
  }

  /** The key that seals secrets in the database; made once. */
  async encryptionKey(): Promise<string> {
    return await this.keepOnce('encryption-key', () => randomBytes(32).toString('base64'));
  }

  /** Id of the development workspace, the same in every run. */
  async workspaceId(): Promise<string> {
    return await this.keepOnce('workspace-id', randomUUID);
  }

  /** Content of a JSON file; undefined when there is none. */
  async readJson<Content>(name: string): Promise<Content | undefined> {
    const text = await this.read(name);
    return text === undefined ? undefined : (JSON.parse(text) as Content);
  }

  /** Writes a JSON file whole or not at all: a reader that polls for it never sees half of it. */
  async writeJson(name: string, content: unknown): Promise<void> {
    await this.write(name, `${JSON.stringify(content, undefined, 2)}\n`);
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.path, name), { force: true });
  }

  private async keepOnce(name: string, make: () => string): Promise<string> {
    const kept = (await this.read(name))?.trim();
    if (kept) return kept;
    const made = make();
    await this.write(name, `${made}\n`);
    return made;
  }

  private async read(name: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.path, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  private async write(name: string, text: string): Promise<void> {
    // Others may enter the folder but not list it: the embedded PostgreSQL runs as a user of its own when started as root.
    await mkdir(this.path, { recursive: true, mode: 0o711 });
    const draft = join(this.path, `${name}.${randomUUID()}`);
    await writeFile(draft, text, { mode: 0o600 });
    await rename(draft, join(this.path, name));
  }
}
