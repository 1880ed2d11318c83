import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { S3Error } from './errors.js';

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A finished piece of XML; plain strings are always escaped on their way into one. */
export interface Xml {
  readonly xml: string;
}

type XmlContent = Xml | string | number | boolean | undefined;

/** One element. Strings and numbers become escaped text, `undefined` children are left out. */
export function element(name: string, ...children: XmlContent[]): Xml {
  const content = contentOf(children);
  return { xml: content === '' ? `<${name}/>` : `<${name}>${content}</${name}>` };
}

/** Several elements of one name, as S3's flattened lists are written. */
export function each<T>(items: Iterable<T>, toElement: (item: T) => Xml): Xml {
  let xml = '';
  for (const item of items) xml += toElement(item).xml;
  return { xml };
}

export function xmlDocument(root: string, ...children: XmlContent[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${NAMESPACE}">${contentOf(children)}</${root}>`;
}

/** The body of an error answer, which S3 writes without a namespace. */
export function errorDocument(...children: XmlContent[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${contentOf(children)}</Error>`;
}

function contentOf(children: readonly XmlContent[]): string {
  let content = '';
  for (const child of children) {
    if (child === undefined) continue;
    content += typeof child === 'object' ? child.xml : escapeText(String(child));
  }
  return content;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeText(text: string): string {
  // Control characters are no legal XML 1.0; S3 writes them as character references all the same.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[&<>"\u0000-\u001f\u007f-\u009f\u2028\ufffe\uffff]/g, (character) => {
    return ESCAPES[character] ?? `&#x${character.charCodeAt(0).toString(16)};`;
  });
}

// Entities are decoded here and not by the parser, so that no document can define its own.
const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  removeNSPrefix: true,
});

/** A parsed element: its children by name. Text is read by `textOf`, repeated elements by `childrenOf`. */
export type ParsedElement = Readonly<Record<string, unknown>>;

/**
 * Parses a request body whose root must be `root`.
 * @throws S3Error MalformedXML
 */
export function parseXml(body: string, root: string): ParsedElement {
  if (/<!DOCTYPE|<!ENTITY/i.test(body) || XMLValidator.validate(body) !== true) throw malformedXml();
  const parsed: unknown = parser.parse(body);
  if (!isElement(parsed) || !(root in parsed)) throw malformedXml();
  const element = parsed[root];
  if (isElement(element)) return element;
  return {}; // An element without children is parsed as its text.
}

/** The child elements called `name`, each with children of its own. */
export function childrenOf(parent: ParsedElement, name: string): ParsedElement[] {
  return listOf(parent[name]).map((child) => (isElement(child) ? child : {}));
}

/** The texts of all children called `name`. */
export function textsOf(parent: ParsedElement, name: string): string[] {
  return listOf(parent[name]).map((child) => {
    if (typeof child !== 'string') throw malformedXml();
    return unescapeText(child);
  });
}

/** The text of the only child called `name`; undefined without one. */
export function textOf(parent: ParsedElement, name: string): string | undefined {
  const texts = textsOf(parent, name);
  if (texts.length > 1) throw malformedXml();
  return texts[0];
}

export function malformedXml(): S3Error {
  return new S3Error(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema.',
  );
}

function isElement(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

const NAMED_ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeText(text: string): string {
  return text.replace(/&([^;&]*);/g, (_, name: string) => {
    const named = NAMED_ENTITIES[name];
    if (named !== undefined) return named;
    const hexadecimal = /^#x([0-9a-f]{1,6})$/i.exec(name);
    const decimal = /^#([0-9]{1,7})$/.exec(name);
    const codePoint = hexadecimal ? Number.parseInt(hexadecimal[1] ?? '', 16) : Number(decimal?.[1] ?? Number.NaN);
    if (!(codePoint <= 0x10ffff)) throw malformedXml();
    return String.fromCodePoint(codePoint);
  });
}
