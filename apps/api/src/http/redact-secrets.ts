const REDACTED = '[redacted]';

// Repetitions that a hostile text could start at many places are bounded or end at a quote: no pattern is quadratic.

/** Names whose value is a secret wherever `name=value` stands: presigned queries, their rivals' and plain tokens. */
const SECRET_NAME =
  '(?:x-(?:amz|goog|ms|oss|cos)-[a-z0-9-]{1,64}|awsaccesskeyid|sig|[a-z0-9_-]{0,40}(?:signature|token|secret|passw(?:or)?d|api[-_]?key|access[-_]?key(?:[-_]?id)?|credentials?|jwt))';

const RULES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // User name and password of a URL. Greedy up to the last @: passwords hold that sign too.
  [/(:\/\/)[^\s/?#"'<>\\]+@/g, `$1${REDACTED}@`],
  // The whole query and fragment of an absolute URL: a source's token may have any name.
  [/(https?:\/\/[^\s?#"'<>\\]+)[?#][^\s"'<>\\]*/gi, `$1?${REDACTED}`],
  // Headers and fields as JSON shows them, one value or a list.
  [
    new RegExp(
      `("(?:(?:proxy-)?authorization|(?:set-)?cookie|${SECRET_NAME})"\\s*:\\s*)(?:"(?:[^"\\\\]|\\\\.)*"|\\[(?:\\s*"(?:[^"\\\\]|\\\\.)*"\\s*,?)*\\])`,
      'gi',
    ),
    `$1"${REDACTED}"`,
  ],
  // The same within a string of JSON.
  [
    new RegExp(
      `(\\\\+"(?:(?:proxy-)?authorization|(?:set-)?cookie|${SECRET_NAME})\\\\+"\\s*:\\s*\\\\+")[^"\\\\]*`,
      'gi',
    ),
    `$1${REDACTED}`,
  ],
  // Headers as text shows them.
  [/\b((?:proxy-)?authorization|(?:set-)?cookie)(\s*[:=]\s*)(?!\[redacted)[^"\\\r\n]+/gi, `$1$2${REDACTED}`],
  [new RegExp(`\\b(${SECRET_NAME}=)(?!\\[redacted)(\\\\*["'])?[^&\\s"'\\\\<>,;)]+`, 'gi'), `$1$2${REDACTED}`],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // JSON Web Tokens and AWS access key ids show themselves.
  [/\beyJ[\w-]{8,4000}\.[\w-]+\.[\w-]*/g, REDACTED],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, REDACTED],
];

/** Shorter values stand in ordinary words too: taking them out would only garble the log. */
const KNOWN_SECRET_MIN_LENGTH = 8;

/**
 * Takes secrets out of a text that will be logged: userinfo and query of URLs, presigned parameters, tokens, cookies,
 * Authorization, access keys, and every value of `knownSecrets` (8 characters or more) wherever it stands.
 *
 * A line of JSON stays valid JSON. Request paths keep their query, but for its secret names. Pure; about 5 us for a line of 350 characters.
 */
export function redactSecrets(text: string, knownSecrets: readonly string[] = []): string {
  let redacted = text;
  for (const secret of knownSecrets) {
    if (secret.length >= KNOWN_SECRET_MIN_LENGTH) redacted = redacted.replaceAll(secret, REDACTED);
  }
  for (const [pattern, replacement] of RULES) redacted = redacted.replace(pattern, replacement);
  return redacted;
}
