/**
 * What a command ends with (DESIGN.md, "Bad input"): a user's mistake is refused in one line with exit status 2, what the system
 * denies in one line with exit status 1. Both are thrown, caught once in src/cli/program.ts and never shown with a stack trace.
 */

/** Wrong input of the user: says what was given, what is allowed and what to do. Exit status 2. */
export class UserError extends Error {
  readonly exitCode = 2;
  override readonly name = 'UserError';
}

/** Something that the system refused or that broke while running. Exit status 1. */
export class SystemError extends Error {
  readonly exitCode = 1;
  override readonly name = 'SystemError';
}

/** The exit status that an error asks for: its numeric `exitCode`, or 1. */
export function exitCodeOf(err: unknown): number {
  const code = (err as { exitCode?: unknown } | null)?.exitCode;
  return typeof code === 'number' && code > 0 ? code : 1;
}

/** True for an error whose message alone is meant for the user; every other one is a bug of ours and shows its stack. */
export function isRefusal(err: unknown): err is Error {
  return err instanceof Error && typeof (err as { exitCode?: unknown }).exitCode === 'number';
}

/** The text of an error for one line: its message with line ends turned into blanks. */
export function oneLine(err: unknown): string {
  return (err instanceof Error ? err.message : String(err)).replace(/\s*\n\s*/g, ' ');
}
