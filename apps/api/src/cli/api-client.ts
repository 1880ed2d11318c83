/** Calls the running API as any client does: over HTTP, with a bearer token. */
export class ApiClient {
  constructor(
    readonly url: string,
    private readonly token: string,
    private readonly interruption: AbortSignal,
  ) {}

  async get<Answer>(path: string): Promise<Answer> {
    return await this.call<Answer>('GET', path);
  }

  /** undefined for 404. */
  async find<Answer>(path: string): Promise<Answer | undefined> {
    return await this.call<Answer | undefined>('GET', path, { notFound: undefined });
  }

  async post<Answer>(path: string, body: unknown): Promise<Answer> {
    return await this.call<Answer>('POST', path, { body });
  }

  private async call<Answer>(
    method: string,
    path: string,
    options: { body?: unknown; notFound?: Answer } = {},
  ): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...('body' in options ? { 'content-type': 'application/json' } : {}),
      },
      ...('body' in options ? { body: JSON.stringify(options.body) } : {}),
      signal: this.interruption,
    });
    if (response.status === 404 && 'notFound' in options) return options.notFound as Answer;
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Answer;
  }
}
