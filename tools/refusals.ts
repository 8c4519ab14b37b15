import { SyntaxKind } from 'typescript/unstable/ast';
import { type Token, tokens } from './tokens.ts';

/** Classes whose message is a line for the user (DESIGN.md, "Bad input"). */
const ERRORS: ReadonlySet<string> = new Set([
  'UserError',
  'SystemError',
  'DriverError',
  'SiftrError',
  'DnctlError',
  'LogError',
  'Bad',
]);

/** Texts as written in the source, with `…` for what is filled in. One string or template of the source is one text. */
function textAt(list: readonly Token[], i: number): { text: string; next: number } | null {
  const token = list[i]!;
  if (token.kind === SyntaxKind.StringLiteral || token.kind === SyntaxKind.NoSubstitutionTemplateLiteral) {
    return { text: token.value, next: i + 1 };
  }
  if (token.kind !== SyntaxKind.TemplateHead) return null;
  let text = token.value;
  let depth = 1;
  for (let k = i + 1; k < list.length; k++) {
    const piece = list[k]!;
    if (piece.kind === SyntaxKind.TemplateHead) depth++;
    if (depth === 1 && (piece.kind === SyntaxKind.TemplateMiddle || piece.kind === SyntaxKind.TemplateTail)) {
      text += `…${piece.value}`;
    }
    if (piece.kind === SyntaxKind.TemplateTail && --depth === 0) return { text, next: k + 1 };
  }
  return null;
}

/**
 * The lines that a file refuses or warns with: messages of the error classes above, what the log's `warn` and `error` are given, values of `text:`,
 * and what begins with "allowed is" or "allowed are". Words without a blank (error codes) are left out.
 */
export function refusals(source: string, errors: ReadonlySet<string> = ERRORS): string[] {
  const list = tokens(source);
  const found: string[] = [];
  /** Parenthesis depths inside of which texts are messages. */
  const calls: number[] = [];
  let depth = 0;
  for (let i = 0; i < list.length; ) {
    const { kind } = list[i]!;
    if (kind === SyntaxKind.OpenParenToken) {
      depth++;
      const callee = list[i - 1]!;
      const before = list[i - 2]?.kind;
      const error = before === SyntaxKind.NewKeyword && errors.has(callee?.value ?? '');
      const log = before === SyntaxKind.DotToken && (callee.value === 'warn' || callee.value === 'error');
      if (error || log) calls.push(depth);
    } else if (kind === SyntaxKind.CloseParenToken) {
      if (calls.at(-1) === depth) calls.pop();
      depth--;
    }
    const text = textAt(list, i);
    if (text === null) {
      i++;
      continue;
    }
    const named = list[i - 1]?.kind === SyntaxKind.ColonToken && list[i - 2]?.value === 'text';
    const wanted = calls.at(-1) === depth || named || /^allowed (is|are) /.test(text.text);
    if (wanted && text.text.includes(' ') && !found.includes(text.text)) found.push(text.text);
    i = text.next;
  }
  return found;
}
