/** Wrong words of a pipe or a rule: one line that says what was given and what is allowed. */
export class DnctlError extends Error {
  readonly exitCode: number;
  override readonly name = 'DnctlError';

  /** @param exitCode 1 where the words are right and the moment is not */
  constructor(message: string, exitCode = 2) {
    super(message);
    this.exitCode = exitCode;
  }
}
