import { StorageError } from '../storage.errors.js';
import type { FileWindows, Slice } from './file-windows.js';
import type { Lane, OpenBody } from './lane.js';
import {
  compareFacts,
  type FileFacts,
  type Framing,
  ifRangeOf,
  judgeRange,
  readBodyFacts,
  readFileFacts,
} from './source-answer.js';
import type { SourceAnswer } from './source-client.js';
import { SourceFault } from './source-fault.js';
import type { SourceLink } from './source-link.js';
import type { SourceRequest } from './source-request.js';
import type { SourceVersion } from './source-version.js';

const MiB = 1024 * 1024;

/** Bytes `start` to `end`, the latter not included; null: to the end of the file. */
interface AskedRange {
  readonly start: number;
  readonly end: number | null;
}

interface FileOpenerParts {
  readonly request: SourceRequest;
  readonly link: SourceLink;
  readonly windows: FileWindows;
  /** In bytes. */
  readonly maxBytes: number;
  /** How often the file may begin anew. */
  readonly maxRestarts: number;
  readonly signal: AbortSignal;
  /** Whether one lane alone reads the file: only then may it begin anew. */
  readonly isAlone: () => boolean;
  /** Told of bytes that were read again, and are of no use. */
  readonly onSkipped: (bytes: number) => void;
}

/** Asks for the file or a part of it, and takes no answer that is of another version than the first was. */
export class FileOpener {
  /** The source does not give ranges as they are asked for: from here on whole answers are read past what is there. */
  private isWithoutRanges = false;
  /** It sent the whole of the version whose rest was asked for; the next time it may do otherwise. */
  private hasIgnoredRange = false;
  private facts: FileFacts | undefined;
  private restarts = 0;
  /** Length of the first version that was seen: whoever reads the file has made room for no more. */
  private roomBytes: number | null | undefined;

  constructor(private readonly parts: FileOpenerParts) {
    const { version } = parts.request.resume ?? {};
    if (version === undefined) return;
    const { length, etag, lastModified, contentEncoding } = version;
    this.facts = { length, validator: { etag, lastModified }, contentEncoding, takesRanges: null, isWebPage: false };
    parts.windows.announce(length);
  }

  get contentEncoding(): string | null {
    return this.facts?.contentEncoding ?? null;
  }

  /** The version has a name by which the rest of it can be asked for. */
  get isNamed(): boolean {
    return this.facts !== undefined && ifRangeOf(this.facts.validator) !== null;
  }

  /** The source says by itself that it takes ranges, and they can be held against the version. */
  get takesRanges(): boolean {
    return this.facts?.takesRanges === true && this.isNamed;
  }

  /** By what another process could go on with the file; null where it could not. */
  get version(): SourceVersion | null {
    const { length } = this.windows;
    if (this.facts === undefined || length === null || !this.isNamed) return null;
    if (this.isWithoutRanges || this.hasIgnoredRange || this.facts.takesRanges === false) return null;
    return { length, ...this.facts.validator, contentEncoding: this.facts.contentEncoding };
  }

  private get windows(): FileWindows {
    return this.parts.windows;
  }

  /**
   * A body that stands at the slice's position: the lane's own, or one that is asked for. `isAlone`: no other lane reads
   * the file. Undefined when there is nothing behind the position after all.
   *
   * @throws SourceFault
   */
  async bodyAt(lane: Lane, slice: Slice, isAlone: boolean): Promise<OpenBody | undefined> {
    const body = lane.bodyAt(slice.position);
    if (body !== undefined) return body;
    lane.dropBody();
    const isFromStart = slice.position === 0 && isAlone;
    if (isFromStart || this.isWithoutRanges) return await this.openWhole(lane, slice);
    // Alone, a lane reads on to the end of the file, unless others have read what follows already.
    const end = isAlone && this.windows.isFrontMost(slice) ? null : slice.end;
    return await this.openRange(lane, { start: slice.position, end }, slice, isAlone);
  }

  /**
   * What is known of the file before a byte of it is read decides.
   *
   * @returns true when it goes on at its end: there is nothing to ask for
   * @throws SourceFault
   */
  isAtEnd(): boolean {
    const { resume } = this.parts.request;
    if (resume === undefined) return false;
    const { fromBytes, version } = resume;
    if (!this.isNamed) throw notResumable('no validator of the file is known by which the rest could be asked for');
    if (!Number.isSafeInteger(fromBytes) || fromBytes < 0 || fromBytes > version.length) {
      throw notResumable(`the file has ${version.length} bytes, and more are said to be here`);
    }
    this.judgeAnnounced(version.length);
    return fromBytes === version.length;
  }

  /** Asks for what is to be read: the whole file, or what follows the beginning that was read before. */
  async openFirst(lane: Lane): Promise<void> {
    const { resume } = this.parts.request;
    if (resume === undefined) await this.openWhole(lane);
    else await this.openRange(lane, { start: resume.fromBytes, end: null });
  }

  /**
   * Ranges are not given as asked. Whole answers are read from now on, past what is here; where the beginning is not
   * here, one lane alone may still be given ranges.
   *
   * @throws SourceFault SOURCE_NOT_RESUMABLE
   */
  leaveRanges(fault: StorageError): void {
    if (this.parts.request.resume === undefined) this.isWithoutRanges = true;
    else if (this.parts.isAlone()) throw notResumable(fault.message, fault);
  }

  /** Asks for the whole file, and reads past what is here already. */
  private async openWhole(lane: Lane, slice?: Slice): Promise<OpenBody> {
    const answer = await this.ask(lane, null, false);
    try {
      return await this.takeWhole(lane, answer, slice);
    } catch (error) {
      answer.body.destroy(new Error('answer not taken'));
      throw error;
    }
  }

  private async openRange(
    lane: Lane,
    { start, end }: AskedRange,
    slice?: Slice,
    isAlone = true,
  ): Promise<OpenBody | undefined> {
    const answer = await this.ask(lane, `bytes=${start}-${end === null ? '' : end - 1}`, !isAlone);
    try {
      if (answer.status === 200) {
        if (!isAlone) throw new SourceFault('SOURCE_PROTOCOL', 'source ignored a range', 'ranges');
        if (this.parts.request.resume !== undefined) throw wholeInsteadOfRest(answer);
        const known = this.facts;
        const body = await this.takeWhole(lane, answer, slice);
        this.hasIgnoredRange ||= this.facts === known;
        return body;
      }
      return this.takeRange(lane, answer, { start, end }, slice);
    } catch (error) {
      answer.body.destroy(new Error('answer not taken'));
      throw error;
    }
  }

  private async ask(lane: Lane, range: string | null, isDirect: boolean): Promise<SourceAnswer> {
    const ifRange = this.facts === undefined ? null : ifRangeOf(this.facts.validator);
    return await this.parts.link.ask(lane.client, { range, ifRange }, this.parts.signal, { isDirect });
  }

  private async takeWhole(lane: Lane, answer: SourceAnswer, slice?: Slice): Promise<OpenBody> {
    if (answer.status !== 200) {
      // A part of the file was not asked for.
      throw new SourceFault('SOURCE_STATUS', `source answered ${answer.status}`, 'final');
    }
    const { framing, length } = readBodyFacts(answer.headers);
    const facts = readFileFacts(answer.headers, length);
    const known = this.facts && { ...this.facts, length: this.windows.length };
    if (known !== undefined && compareFacts(known, facts) === 'same') {
      if (length !== null) this.learnLength(length, slice);
    } else {
      if (this.facts !== undefined) {
        judgeChange(this.facts, facts);
        this.restart(slice);
      }
      this.judgeFile(facts, framing);
      this.facts = facts;
      this.windows.announce(length, slice);
    }
    const body: OpenBody = { stream: answer.body, position: 0, end: length, framing, isWhole: true };
    lane.body = body;
    if (slice !== undefined && slice.position > 0) await this.skip(body, slice.position);
    return body;
  }

  private async skip(body: OpenBody, bytes: number): Promise<void> {
    const scratch = Buffer.allocUnsafe(Math.min(bytes, MiB));
    while (body.position < bytes) {
      const part = scratch.subarray(0, Math.min(scratch.length, bytes - body.position));
      const count = await body.stream.fill(part, this.parts.onSkipped);
      body.position += count;
      if (count < part.length) {
        throw new SourceFault('SOURCE_TRUNCATED', 'source ended before the byte that was reached already', 'retry');
      }
    }
  }

  private takeRange(lane: Lane, answer: SourceAnswer, asked: AskedRange, slice?: Slice): OpenBody | undefined {
    const known = this.facts as FileFacts;
    const verdict = judgeRange(known, answer, asked);
    if (verdict === 'changed') {
      this.restart(slice);
      throw new SourceFault('SOURCE_CHANGED', 'source changed while it was read', 'retry');
    }
    if (verdict === 'at-end') {
      // Every byte was here already, and only the mark of the end was lost.
      answer.body.destroy(new Error('nothing follows'));
      if (slice !== undefined) this.windows.endAt(slice);
      this.windows.markEnd();
      return undefined;
    }
    if (verdict.total !== null) this.learnLength(verdict.total, slice);
    if (this.parts.request.resume !== undefined) this.facts = { ...known, takesRanges: true };
    lane.body = { stream: answer.body, position: asked.start, end: verdict.end + 1, framing: 'length', isWhole: false };
    return lane.body;
  }

  /** What the first answer says decides before a byte is read. */
  private judgeFile({ length }: FileFacts, framing: Framing): void {
    if (framing === 'close' && this.parts.request.allowUnprovenLength !== true) {
      const message =
        'source gave neither Content-Length nor chunks, so the end of its file cannot be told from a broken connection';
      throw new SourceFault('SOURCE_LENGTH_UNPROVEN', message, 'final');
    }
    if (this.roomBytes === undefined) this.roomBytes = length;
    if (this.roomBytes !== null && (length === null || length > this.roomBytes)) {
      throw new SourceFault('SOURCE_CHANGED', 'source changed while it was read, and is longer now', 'final');
    }
    if (length !== null) this.judgeAnnounced(length);
  }

  /** No answer before may have told the length of the file. */
  private learnLength(length: number, slice: Slice | undefined): void {
    if (this.windows.length !== null) return;
    if (slice !== undefined && length < slice.position) {
      throw new SourceFault('SOURCE_CHANGED', 'source changed while it was read, and is shorter now', 'final');
    }
    this.judgeAnnounced(length);
    this.windows.announce(length, slice);
  }

  private judgeAnnounced(length: number): void {
    if (length > this.parts.maxBytes) throw this.tooLarge(length);
    this.judgeLength(length);
  }

  judgeLength(bytes: number): void {
    const { expectedBytes } = this.parts.request;
    if (expectedBytes === undefined || bytes === expectedBytes) return;
    const message = `source has ${bytes} bytes, and ${expectedBytes} were expected`;
    throw new SourceFault('SOURCE_SIZE_MISMATCH', message, 'final');
  }

  tooLarge(bytes: number | 'more'): SourceFault {
    const message =
      bytes === 'more'
        ? `source has more than the ${this.parts.maxBytes} bytes that are allowed (SOURCE_MAX_BYTES, maxBytes)`
        : `source has ${bytes} bytes, and ${this.parts.maxBytes} are allowed (SOURCE_MAX_BYTES, maxBytes)`;
    return new SourceFault('SOURCE_TOO_LARGE', message, 'final');
  }

  /**
   * Begins anew, as long as nothing of the file was handed out: a few times, because some sources never send a version
   * to its end.
   *
   * @throws SourceFault SOURCE_CHANGED, or `fault`, when it may not begin anew; SOURCE_NOT_RESUMABLE where its
   * beginning was read before
   */
  restart(slice: Slice | undefined, fault?: StorageError): void {
    if (this.parts.request.resume !== undefined) throw notResumable('it has another version of the file now', fault);
    const isAllowed = this.parts.isAlone() && this.restarts < this.parts.maxRestarts;
    if (slice !== undefined && isAllowed && this.windows.restart(slice)) {
      this.restarts += 1;
      this.facts = undefined;
      return;
    }
    if (fault === undefined) throw new SourceFault('SOURCE_CHANGED', 'source changed while it was read', 'final');
    const message = `${fault.message}, and it names no version of the file by which the rest could be asked for`;
    throw new SourceFault(fault.code, message, 'final', { cause: fault, isRetryable: fault.isRetryable });
  }
}

/** A web page in place of what was being read is what a link gives whose session has ended. */
function judgeChange(before: FileFacts, now: FileFacts): void {
  if (before.isWebPage || !now.isWebPage) return;
  const message = 'source sent a web page, perhaps a login page, in the middle of the file';
  throw new SourceFault('SOURCE_TYPE_MISMATCH', message, 'fresh-url');
}

function notResumable(why: string, cause?: StorageError): SourceFault {
  const message = `source cannot go on with a file whose beginning is stored: ${why}`;
  return new SourceFault('SOURCE_NOT_RESUMABLE', message, 'final', { cause });
}

/** To a range and If-Range it says that the version is gone, or that there are no ranges. */
function wholeInsteadOfRest({ headers }: SourceAnswer): SourceFault {
  if (!readFileFacts(headers, null).isWebPage) return notResumable('it sent the whole file in place of the rest');
  const message = 'source sent a web page, perhaps a login page, in place of the rest of the file';
  return new SourceFault('SOURCE_NOT_RESUMABLE', message, 'fresh-url');
}
