import { describe, expect, it } from '@jest/globals';
import { contentHeaders, isInlineType } from './content-headers.js';

describe('the type that is kept with an object', () => {
  it.each([
    ['video/mp4', 'video/mp4'],
    ['video/webm;codecs=vp8,opus', 'video/webm; codecs="vp8,opus"'],
    ['video/mp4; codecs="avc1.42E01E, mp4a.40.2"', 'video/mp4; codecs="avc1.42E01E, mp4a.40.2"'],
    ['text/plain;x=,text/html', 'text/plain; x=",text/html"'],
    ['text/plain;x=",text/html', 'text/plain'],
  ])('of %s is %s', (type, kept) => expect(contentHeaders(type)).toEqual({ ContentType: kept }));
});

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
