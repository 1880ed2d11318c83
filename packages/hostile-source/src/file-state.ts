/** What the server remembers of one file URL, by the id in its path. */
export interface FileState {
  /** Requests for the body so far, this one included; HEAD does not count. */
  requests: number;
  /** Answers that run at this moment, one a connection. */
  running: number;
  /** Values of the query parameter `token`, in the order of their first use. */
  readonly tokens: Set<string>;
}

export class FileStates {
  readonly #states = new Map<string, FileState>();

  of(behaviour: string, id: string): FileState {
    const key = `${behaviour}/${id}`;
    const known = this.#states.get(key);
    if (known) return known;
    const state: FileState = { requests: 0, running: 0, tokens: new Set() };
    this.#states.set(key, state);
    return state;
  }
}
