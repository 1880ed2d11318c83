/** A copy of rawHeaders with one header replaced, or taken out where `value` is undefined. */
export function withHeader(rawHeaders: readonly string[], name: string, value: string | undefined): string[] {
  const others = withoutHeaders(rawHeaders, (candidate) => candidate === name);
  return value === undefined ? others : [...others, name, value];
}

/** A copy of rawHeaders without those whose lower-case name `isUnwanted`. */
export function withoutHeaders(rawHeaders: readonly string[], isUnwanted: (name: string) => boolean): string[] {
  return rawHeaders.filter((_, index) => !isUnwanted((rawHeaders[index - (index % 2)] ?? '').toLowerCase()));
}
