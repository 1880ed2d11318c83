import { describe, expect, it } from '@jest/globals';
import { contentHeaders, isInlineType } from './content-headers.js';

describe('isInlineType', () => {
  it.each(['video/mp4', 'VIDEO/MP4; codecs="avc1"', 'audio/x-wav', 'image/png', 'application/pdf', 'text/plain'])(
    'lets a browser show %s',
    (type) => expect(isInlineType(type)).toBe(true),
  );

  // WHATWG MIME Sniffing: every type that ends in +xml is parsed as XML, in which XHTML's scripts run.
  it.each(['text/html', 'image/svg+xml', 'application/xml', 'video/mp4+xml', 'audio/x+xml', 'video/x+XML;a=b'])(
    'makes %s a download',
    (type) => {
      expect(isInlineType(type)).toBe(false);
      expect(contentHeaders(type)).toMatchObject({ ContentDisposition: 'attachment' });
    },
  );
});
