// What sources and stores lie about, so that a run can show how each lie was answered.
import { gzippedContent } from '@s3-transfer/hostile-source';

const orNextSeed = (file) => [file, { ...file, seed: file.seed + 1 }];

/**
 * about         what the source is wrong about
 * versions      the files that DONE may hold, where that is not just the one that was asked for
 * isHashNeeded  only a hash finds the lie, so the request brings it
 */
export const SOURCE_LIES = {
  ...each({ about: 'length' }, [
    'length-too-short',
    'length-huge',
    'length-absurd',
    'length-negative',
    'length-not-a-number',
    'two-lengths',
    'two-equal-lengths',
    'length-and-chunked',
    'endless-beyond-length',
    'second-answer-unasked',
    'length-too-long-by-fin',
    'length-too-long-by-reset',
    'chunk-bad-length',
    'chunk-absurd-length',
    'chunk-too-long',
    'chunk-trailers',
  ]),
  ...each({ about: 'range' }, [
    'range-ignored',
    'range-wrong-start',
    'range-wrong-total',
    'range-without-content-range',
    'range-malformed',
    'range-multipart',
    'range-unasked',
    'range-end-ignored',
    'range-surplus',
    'resume-416',
    'resume-416-other-total',
  ]),
  // In the end the source says the shorter length of the whole file too.
  'range-length-disagrees': {
    about: 'range',
    versions: (file, { missingBytes }) => [file, { ...file, sizeBytes: file.sizeBytes - missingBytes }],
  },
  ...each({ about: 'version' }, [
    'range-ignored-other-etag',
    'etag-changes-every-time',
    'etag-alternates',
    'etag-missing-on-resume',
  ]),
  ...each({ about: 'version', versions: orNextSeed }, ['range-other-etag', 'etag-changes', 'last-modified-changes']),
  'total-changes': {
    about: 'version',
    versions: (file, { surplusBytes }) => [file, { ...file, sizeBytes: file.sizeBytes + surplusBytes }],
  },
  ...each({ about: 'content', isHashNeeded: true }, ['range-wrong-bytes', 'content-changes-silently']),
  ...each({ about: 'type' }, ['login-page', 'login-page-as-video', 'resume-login-page']),
  'coded-gzip': { about: 'coding', versions: (file) => [{ bytes: gzippedContent(file) }] },
};

export const STORE_LIES = {
  ...each('outcome', [
    'internal-error-after-forward',
    'complete-200-error',
    'complete-200-error-newline',
    'complete-200-html',
    'complete-200-error-after-forward',
    'complete-200-error-newline-after-forward',
    'complete-200-html-after-forward',
    'complete-slow-error',
    'object-appears-late',
    'object-destroyed',
    'abort-ignored',
  ]),
  ...each('upload id', ['upload-id-unknown', 'create-empty-body', 'create-html']),
  ...each('checksum', ['part-wrong-etag', 'part-without-etag']),
  ...each('content', ['body-bit-flipped', 'read-bit-flipped']),
  'head-without-metadata': 'owner',
  'head-wrong-size': 'length',
  'clock-skew': 'time',
};

function each(lie, names) {
  return Object.fromEntries(names.map((name) => [name, lie]));
}
