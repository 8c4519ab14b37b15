import { SyntaxKind } from 'typescript/unstable/ast';
import { type Token, tokens } from './tokens.ts';

/**
 * The order of the house: a file under src/ imports from its own folder and from folders of a lower rank. Folders of one rank
 * do not know each other.
 */
export const RANKS: Readonly<Record<string, number>> = {
  cli: 5,
  index: 4,
  daemon: 3,
  sim: 3,
  driver: 2,
  views: 2,
  web: 2,
  net: 2,
  endpoint: 2,
  siftr: 2,
  log: 2,
  load: 2,
  cc: 2,
  dummynet: 2,
  bblog: 2,
  stack: 1,
  impair: 1,
  rings: 0,
  metrics: 0,
  version: 0,
  csv: 0,
};

/** Folders without I/O, clock and randomness of their own: clock, random words and links are handed in. */
export const PURE: ReadonlySet<string> = new Set(['rings', 'metrics', 'stack', 'impair']);

/** Names that a pure folder may not use: they read a clock, draw randomness, start something or write somewhere. */
const IMPURE: ReadonlySet<string> = new Set([
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'console',
  'process',
  'globalThis',
  'global',
  'crypto',
  'fetch',
  'require',
]);

/** One place where a rule is broken. */
export interface Violation {
  /** Path from the checkout's top. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** Index of the module names in `import`/`export … from`, bare `import`, `import(…)` and `require(…)`. */
function moduleNames(list: readonly Token[]): Token[] {
  return list.filter((token, i) => {
    if (token.kind !== SyntaxKind.StringLiteral && token.kind !== SyntaxKind.NoSubstitutionTemplateLiteral)
      return false;
    const before = list[i - 1];
    if (before?.kind === SyntaxKind.FromKeyword || before?.kind === SyntaxKind.ImportKeyword) return true;
    const callee = before?.kind === SyntaxKind.OpenParenToken ? list[i - 2] : undefined;
    return callee !== undefined && (callee.kind === SyntaxKind.ImportKeyword || callee.value === 'require');
  });
}

/** The folder of `src/FOLDER/…`; for a file directly in src/ its name without the ending. */
function folderOf(path: string): string {
  const part = path.split('/')[1] ?? '';
  return part.replace(/\.ts$/, '');
}

/** `./x` and `../x` in a file of this path, from the checkout's top; null when it leaves the checkout. */
function resolve(file: string, name: string): string | null {
  const parts = file.split('/').slice(0, -1);
  for (const part of name.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return null;
    } else if (part !== '.') {
      parts.push(part);
    }
  }
  return parts.join('/');
}

/** Why `file` may not import `name`, or an empty string. */
function importFault(file: string, name: string): string {
  const folder = folderOf(file);
  if (!name.startsWith('.')) {
    return PURE.has(folder) ? `src/${folder} is pure and imports '${name}'` : '';
  }
  const target = resolve(file, name);
  if (!target?.startsWith('src/')) return `'${name}' lies outside src/`;
  const other = folderOf(target);
  if (other === folder) return '';
  const otherRank = RANKS[other];
  if (otherRank === undefined) return `src/${other} has no rank in tools/import-rules.ts`;
  if (otherRank < RANKS[folder]!) return '';
  return `src/${folder} may not import src/${other} ('${name}')`;
}

/**
 * Checks one file of src/.
 * @param file path from the checkout's top, `src/stack/net/arp.ts`
 * @param text its content
 */
export function checkFile(file: string, text: string): Violation[] {
  const violations: Violation[] = [];
  const report = (start: number, message: string) =>
    violations.push({ file, line: text.slice(0, start).split('\n').length, message });
  const folder = folderOf(file);
  if (RANKS[folder] === undefined) {
    report(0, `src/${folder} has no rank in tools/import-rules.ts`);
    return violations;
  }
  const list = tokens(text);
  for (const token of moduleNames(list)) {
    const fault = importFault(file, token.value);
    if (fault) report(token.start, fault);
  }
  if (!PURE.has(folder)) return violations;
  list.forEach((token, i) => {
    if (
      token.kind !== SyntaxKind.Identifier &&
      token.kind !== SyntaxKind.RequireKeyword &&
      token.kind !== SyntaxKind.GlobalKeyword
    )
      return;
    const before = list[i - 1]?.kind;
    const property = before === SyntaxKind.DotToken || before === SyntaxKind.QuestionDotToken;
    if (property) {
      if (token.value === 'random' && list[i - 2]?.value === 'Math')
        report(token.start, `src/${folder} is pure and uses Math.random`);
      return;
    }
    if (IMPURE.has(token.value)) report(token.start, `src/${folder} is pure and uses ${token.value}`);
  });
  return violations;
}
