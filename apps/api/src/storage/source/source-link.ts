import type { SourceAnswer, SourceClient, SourceQuestion, SourceTarget } from './source-client.js';
import { SourceFault } from './source-fault.js';
import type { SourceRequest } from './source-request.js';

/** Fresh links in a row that bring nothing before the source is given up. */
const MAX_FRESH_LINKS = 2;

/** Where one file is asked for: the caller's link, what it redirects to, or a fresh one that took its place. */
export class SourceLink {
  private target: SourceTarget;
  private resolved: SourceTarget | undefined;
  private freshLinks = 0;

  constructor(private readonly request: SourceRequest) {
    this.target = { url: request.url, headers: request.headers ?? {} };
  }

  /** `isDirect`: straight to where the redirects led last, which spares several connections the same way. */
  async ask(
    client: SourceClient,
    question: SourceQuestion,
    signal: AbortSignal,
    { isDirect = false } = {},
  ): Promise<SourceAnswer> {
    const target = isDirect ? (this.resolved ?? this.target) : this.target;
    const answer = await client.ask(target, question, signal);
    this.resolved = answer.target === this.target ? undefined : answer.target;
    return answer;
  }

  /** True when there is a way back to the link itself: a redirect's target has its time, and may have had it. */
  leaveRedirect(): boolean {
    const wasRedirected = this.resolved !== undefined;
    this.resolved = undefined;
    return wasRedirected;
  }

  /** The link in use brings bytes. */
  markGood(): void {
    this.freshLinks = 0;
  }

  /**
   * Asks the caller for a fresh link in place of one that was refused.
   *
   * @throws `fault` when there is nobody to ask, or none that brings anything
   */
  async renew(fault: SourceFault): Promise<void> {
    const { refresh } = this.request;
    if (refresh === undefined || this.freshLinks >= MAX_FRESH_LINKS) throw fault;
    this.freshLinks += 1;
    try {
      const { url, headers = {} } = await refresh();
      this.target = { url, headers };
    } catch (cause) {
      throw new SourceFault(fault.code, `${fault.message}, and no fresh link was to be had`, 'final', { cause });
    }
  }
}
