import { S3Error } from '../errors.js';

/** All of a form but its file (S3 API reference, POST Object). */
const MAX_FIELDS_BYTES = 20 * 1024;

export interface UploadForm {
  /** By lower-case name, in the order of the form. */
  readonly fields: ReadonlyMap<string, string>;
  /** Without folders. */
  readonly fileName: string;
  /** The bytes of the file; what follows it in the form is read and dropped, as S3 does. */
  readonly file: AsyncGenerator<Buffer>;
}

/**
 * Reads a multipart/form-data body up to the field called `file`, and hands its bytes on as they come.
 * @throws S3Error MalformedPOSTRequest, MaxPostPreDataLengthExceeded, PreconditionFailed for another content type
 */
export async function readUploadForm(contentType: string, source: AsyncIterator<Buffer>): Promise<UploadForm> {
  const boundary = /^multipart\/form-data\s*;.*\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  const text = boundary?.[1] ?? boundary?.[2];
  if (text === undefined) {
    throw new S3Error('PreconditionFailed', 'Bucket POST must be of the enclosure-type multipart/form-data', {
      Condition: 'Bucket POST must be of the enclosure-type multipart/form-data',
    });
  }
  const reader = new FormReader(source, Buffer.from(`\r\n--${text}`, 'latin1'));
  const fields = new Map<string, string>();
  await reader.skipPreamble();
  for (;;) {
    const part = await reader.nextPart();
    if (!part) {
      throw new S3Error('InvalidArgument', 'POST requires exactly one file upload per request.', {
        ArgumentName: 'file',
        ArgumentValue: 0,
      });
    }
    if (part.name === 'file') return { fields, fileName: part.fileName, file: reader.lastContent() };
    fields.set(part.name, await reader.shortContent());
  }
}

class FormReader {
  // The first boundary has no line break before it; with this one all are alike.
  #buffered: Buffer = Buffer.from('\r\n');
  #fieldBytes = 0;

  constructor(
    private readonly source: AsyncIterator<Buffer>,
    private readonly delimiter: Buffer,
  ) {}

  async skipPreamble(): Promise<void> {
    await this.#takeUntil(this.delimiter);
  }

  /** The headers of the next part, or undefined after the last. */
  async nextPart(): Promise<{ name: string; fileName: string } | undefined> {
    while (this.#buffered.length < 2) await this.#fill();
    const mark = this.#buffered.toString('latin1', 0, 2);
    if (mark === '--') return undefined;
    if (mark !== '\r\n') throw malformed();
    const head = (await this.#takeUntil(Buffer.from('\r\n\r\n'))).toString('utf8');
    const disposition = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(head)?.[1] ?? '';
    const name = parameterOf(disposition, 'name');
    if (name === undefined) throw malformed();
    const fileName = (parameterOf(disposition, 'filename') ?? '').replace(/^.*[/\\]/s, '');
    return { name: name.toLowerCase(), fileName };
  }

  async shortContent(): Promise<string> {
    return (await this.#takeUntil(this.delimiter)).toString('utf8');
  }

  /** Streams the content of a part, and reads the rest of the body. */
  async *lastContent(): AsyncGenerator<Buffer> {
    for (;;) {
      const end = this.#buffered.indexOf(this.delimiter);
      if (end !== -1) {
        if (end > 0) yield this.#buffered.subarray(0, end);
        break;
      }
      // The delimiter may be cut in two by the edge of a chunk.
      const safe = this.#buffered.length - this.delimiter.length + 1;
      if (safe > 0) {
        yield this.#buffered.subarray(0, safe);
        this.#buffered = this.#buffered.subarray(safe);
      }
      await this.#fill();
    }
    while (!(await this.source.next()).done);
  }

  async #takeUntil(mark: Buffer): Promise<Buffer> {
    for (;;) {
      const end = this.#buffered.indexOf(mark);
      const taken = end === -1 ? this.#buffered.length : end;
      if (this.#fieldBytes + taken > MAX_FIELDS_BYTES) {
        throw new S3Error(
          'MaxPostPreDataLengthExceeded',
          'Your POST request fields preceding the upload file were too large.',
        );
      }
      if (end === -1) {
        await this.#fill();
        continue;
      }
      const content = this.#buffered.subarray(0, end);
      this.#fieldBytes += end + mark.length;
      this.#buffered = this.#buffered.subarray(end + mark.length);
      return content;
    }
  }

  async #fill(): Promise<void> {
    const next = await this.source.next();
    if (next.done) throw malformed();
    this.#buffered = this.#buffered.length === 0 ? next.value : Buffer.concat([this.#buffered, next.value]);
  }
}

/** Browsers write a quote in a name as %22 and a line break as %0D%0A (HTML standard, multipart/form-data encoding). */
function parameterOf(disposition: string, name: string): string | undefined {
  const value = new RegExp(`;\\s*${name}="([^"]*)"`, 'i').exec(`;${disposition}`)?.[1];
  return value?.replace(/%22/g, '"').replace(/%0D%0A/gi, '\r\n');
}

function malformed(): S3Error {
  return new S3Error('MalformedPOSTRequest', 'The body of your POST request is not well-formed multipart/form-data.');
}
