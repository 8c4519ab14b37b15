/** What an experiment is refused with: one line that says what was given and what is allowed. */
export class SimError extends Error {
  override readonly name = 'SimError';
  /** 2 for a mistake of the user, 1 for what the system refused. */
  readonly exitCode: 1 | 2;
  /** Name of the errno where the system refused, else empty. */
  readonly code: string;

  constructor(message: string, exitCode: 1 | 2 = 2, code = '') {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
  }
}
