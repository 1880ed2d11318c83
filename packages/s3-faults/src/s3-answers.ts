import { randomBytes } from 'node:crypto';

export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The error document of S3. `details` are elements beside Code and Message. */
export function errorDocument(code: string, message: string, details: Readonly<Record<string, string>> = {}): string {
  const elements = { Code: code, Message: message, ...details, RequestId: requestId(), HostId: 's3-faults' };
  const xml = Object.entries(elements).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `${XML_DECLARATION}<Error>${xml.join('')}</Error>`;
}

export const HTML_PAGE =
  '<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to the network</h1></body></html>\n';

export function requestId(): string {
  return randomBytes(8).toString('hex').toUpperCase();
}
