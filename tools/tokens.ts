import { SyntaxKind } from 'typescript/unstable/ast';
import { createScanner } from 'typescript/unstable/ast/scanner';

/** A token of TypeScript source. */
export interface Token {
  readonly kind: SyntaxKind;
  /** The name, or the content of a string or of this piece of a template. */
  readonly value: string;
  readonly start: number;
}

/** Tokens after which a slash divides; after all others it opens a regular expression. */
const BEFORE_DIVISION: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.ThisKeyword,
  SyntaxKind.SuperKeyword,
  SyntaxKind.TrueKeyword,
  SyntaxKind.FalseKeyword,
  SyntaxKind.NullKeyword,
]);

const NAMED: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateHead,
  SyntaxKind.TemplateMiddle,
  SyntaxKind.TemplateTail,
]);

/** The tokens of a source text without blanks and comments; code inside template literals included. */
export function tokens(text: string): Token[] {
  const scanner = createScanner(true);
  scanner.setText(text);
  const found: Token[] = [];
  /** Open braces; true for those that a template's `${` opened. */
  const braces: boolean[] = [];
  let previous: SyntaxKind = SyntaxKind.Unknown;
  for (;;) {
    let kind = scanner.scan();
    if (kind === SyntaxKind.EndOfFile) return found;
    if ((kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) && !BEFORE_DIVISION.has(previous)) {
      kind = scanner.reScanSlashToken();
    } else if (kind === SyntaxKind.OpenBraceToken) {
      braces.push(false);
    } else if (kind === SyntaxKind.TemplateHead) {
      braces.push(true);
    } else if (kind === SyntaxKind.CloseBraceToken && braces.pop()) {
      kind = scanner.reScanTemplateToken(false);
      if (kind === SyntaxKind.TemplateMiddle) braces.push(true);
    }
    found.push({
      kind,
      value: NAMED.has(kind) || kind >= SyntaxKind.FirstKeyword ? scanner.getTokenValue() : '',
      start: scanner.getTokenStart(),
    });
    previous = kind;
  }
}
