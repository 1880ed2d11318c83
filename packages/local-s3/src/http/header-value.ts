/** Whether a text can be sent as a header: latin1 without controls. */
export function isHeaderValue(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text);
}

/** Whether a text can be a header's name (RFC 9110, token). */
export function isHeaderName(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text);
}
