/** A log that cannot be read, or a wrong option. Its message is one line for the user. */
export class LogError extends Error {
  override readonly name = 'LogError';
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
