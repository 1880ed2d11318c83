import { styleText } from 'node:util';

/** Widest label of a list of fields. */
const LABEL_WIDTH = 14;

/** One line on stdout; the parts are divided by two spaces. */
export function print(...parts: string[]): void {
  console.log(parts.join('  '));
}

/** One line on stderr, for what is no result. */
export function warn(line: string): void {
  console.error(line);
}

// styleText leaves the text as it is where stdout is no terminal, or NO_COLOR is set.
export function strong(text: string): string {
  return styleText('bold', text, { stream: process.stdout });
}

export function faint(text: string): string {
  return styleText('dim', text, { stream: process.stdout });
}

export function good(text: string): string {
  return styleText('green', text, { stream: process.stdout });
}

export function printFields(fields: Readonly<Record<string, string>>): void {
  for (const [label, value] of Object.entries(fields)) print(faint(label.padEnd(LABEL_WIDTH)), value);
}
