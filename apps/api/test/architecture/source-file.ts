import { posix } from 'node:path';
import { parseSync } from '@swc/core';

/** An import, a re-export or a dynamic import of one module. */
export interface Import {
  readonly specifier: string;
  /** Nothing of it is left at run time. */
  readonly isTypeOnly: boolean;
  /** Names, as they are known in this file, that are types alone. */
  readonly typeNames: readonly string[];
}

/** A call such as `this.recordings.findById(id)`. */
export interface MethodCall {
  /** The last name before the method: `recordings`; of `app.get(RecordingRepository).update()` it is the argument. */
  readonly receiver: string;
  readonly method: string;
}

/** A text that a function or constructor is handed, as `FILE_BUSY` by `new StorageError('FILE_BUSY', message)`. */
export interface GivenText {
  readonly callee: string;
  readonly text: string;
}

export interface TypedName {
  readonly name: string;
  readonly type: string;
}

/** What the rules look at in one file of TypeScript. `path` is relative to the root of the files, with slashes. */
export interface SourceFile {
  readonly path: string;
  readonly imports: readonly Import[];
  readonly readsProcessEnv: boolean;
  readonly methodCalls: readonly MethodCall[];
  readonly givenTexts: readonly GivenText[];
  /** Parameters, properties and variables with the class that they are said to be, or that they are asked for by. */
  readonly typedNames: readonly TypedName[];
  /** Of its classes, as `LeaseKeeper.renew`. */
  readonly methods: readonly string[];
  /** Types by which Nest chooses what it injects: of constructor parameters without a decorator, in decorated classes. */
  readonly injectedTypes: readonly string[];
}

interface Node {
  readonly type?: string;
  // The tree has some 200 kinds of nodes; each use below says what it expects.
  readonly [key: string]: unknown;
}

export function parseSourceFile(path: string, text: string): SourceFile {
  const nodes = [...walk(parseSync(text, { syntax: 'typescript', decorators: true }) as unknown as Node)];
  return {
    path,
    imports: nodes.flatMap((node) => toImport(node) ?? []),
    readsProcessEnv: nodes.some(isProcessEnv),
    methodCalls: nodes.flatMap((node) => toMethodCall(node) ?? []),
    givenTexts: nodes.flatMap(toGivenTexts),
    typedNames: nodes.flatMap(toTypedNames),
    methods: nodes.filter(({ type }) => type === 'ClassDeclaration').flatMap(toMethods),
    injectedTypes: nodes.filter(isDecoratedClass).flatMap(injectedTypesOf),
  };
}

/** The path that a relative specifier names, as a .ts file. */
export function resolveImport(file: SourceFile, { specifier }: Import): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.join(posix.dirname(file.path), specifier).replace(/\.js$/, '.ts');
}

function* walk(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const item of value) yield* walk(item);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  if (typeof (value as Node).type === 'string') yield value as Node;
  for (const child of Object.values(value)) yield* walk(child);
}

function nameOf(node: unknown): string {
  return String((node as { value?: string } | undefined)?.value ?? '');
}

function toImport(node: Node): Import | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration': {
      if (!node.source) return undefined;
      const specifiers = node.specifiers as { isTypeOnly?: boolean; orig?: unknown; local?: unknown }[];
      const types = specifiers.filter((specifier) => node.typeOnly || specifier.isTypeOnly);
      return {
        specifier: nameOf(node.source),
        isTypeOnly: Boolean(node.typeOnly) || (specifiers.length > 0 && types.length === specifiers.length),
        typeNames: types.map(({ orig, local }) => nameOf(local ?? orig)),
      };
    }
    case 'ExportAllDeclaration':
      return { specifier: nameOf(node.source), isTypeOnly: Boolean(node.typeOnly), typeNames: [] };
    case 'TsImportType':
      return { specifier: nameOf(node.argument), isTypeOnly: true, typeNames: [] };
    case 'CallExpression': {
      if ((node.callee as Node).type !== 'Import') return undefined;
      const [argument] = node.arguments as { expression: Node }[];
      return { specifier: nameOf(argument?.expression), isTypeOnly: false, typeNames: [] };
    }
    default:
      return undefined;
  }
}

/** `process.env`, `process['env']`, and `env` taken out of process. */
function isProcessEnv(node: Node): boolean {
  if (node.type === 'MemberExpression') {
    const { object, property } = node as { object: Node; property: Node };
    return nameOf(object) === 'process' && nameOf(property.expression ?? property) === 'env';
  }
  if (node.type === 'VariableDeclarator') return nameOf(node.init) === 'process';
  if (node.type !== 'ImportDeclaration' || !/^(node:)?process$/.test(nameOf(node.source))) return false;
  return (node.specifiers as Node[]).some(({ imported, local }) => nameOf(imported ?? local) === 'env');
}

function toMethodCall(node: Node): MethodCall | undefined {
  if (node.type !== 'CallExpression') return undefined;
  const callee = unwrap(node.callee as Node);
  if (callee.type !== 'MemberExpression') return undefined;
  return { receiver: lastNameOf(unwrap(callee.object as Node)), method: nameOf(callee.property) };
}

function toGivenTexts(node: Node): GivenText[] {
  if (node.type !== 'NewExpression' && node.type !== 'CallExpression') return [];
  const given = (node.arguments as { expression: Node }[] | null) ?? [];
  const callee = nameOf(node.callee);
  return given.flatMap(({ expression }) => textsOf(expression)).map((text) => ({ callee, text }));
}

/** The text, or those of both branches of a condition. */
function textsOf(node: Node): string[] {
  if (node.type === 'StringLiteral') return [nameOf(node)];
  if (node.type !== 'ConditionalExpression') return [];
  return [...textsOf(node.consequent as Node), ...textsOf(node.alternate as Node)];
}

function lastNameOf(node: Node): string {
  if (node.type === 'MemberExpression') return nameOf(node.property);
  if (node.type !== 'CallExpression') return nameOf(node);
  const [argument] = node.arguments as { expression: Node }[];
  return nameOf(argument?.expression);
}

/** What parentheses, `await` and `?.` are around. */
function unwrap(node: Node): Node {
  if (node.type === 'ParenthesisExpression') return unwrap(node.expression as Node);
  if (node.type === 'AwaitExpression') return unwrap(node.argument as Node);
  if (node.type === 'OptionalChainingExpression') return unwrap(node.base as Node);
  return node;
}

/** Of `name: Type`, and of `const name = app.get(Type)`. */
function toTypedNames(node: Node): TypedName[] {
  if (node.type === 'ClassProperty') return [{ name: nameOf(node.key), type: typeNameOf(node) }];
  if (node.type === 'Identifier' && node.typeAnnotation) return [{ name: nameOf(node), type: typeNameOf(node) }];
  if (node.type !== 'VariableDeclarator' || !node.init) return [];
  const value = unwrap(node.init as Node);
  return value.type === 'CallExpression' ? [{ name: nameOf(node.id), type: lastNameOf(value) }] : [];
}

function typeNameOf(node: Node): string {
  const annotation = (node.typeAnnotation as { typeAnnotation?: Node } | null)?.typeAnnotation;
  return annotation?.type === 'TsTypeReference' ? nameOf(annotation.typeName) : '';
}

function toMethods({ identifier, body }: Node): string[] {
  const methods = (body as Node[]).filter(({ type }) => type === 'ClassMethod');
  return methods.map(({ key }) => `${nameOf(identifier)}.${nameOf(key)}`);
}

function isDecoratedClass(node: Node): boolean {
  return (
    (node.type === 'ClassDeclaration' || node.type === 'ClassExpression') &&
    ((node.decorators as Node[] | undefined) ?? []).length > 0
  );
}

function injectedTypesOf(node: Node): string[] {
  const constructors = (node.body as Node[]).filter(({ type }) => type === 'Constructor');
  return constructors
    .flatMap(({ params }) => params as Node[])
    .filter(({ decorators }) => ((decorators as Node[] | undefined) ?? []).length === 0)
    .map(({ param, pat }) => typeNameOf((param ?? pat) as Node))
    .filter((type) => type !== '');
}
