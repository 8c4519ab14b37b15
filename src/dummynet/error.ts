/** Wrong words of a pipe or a rule: one line that says what was given and what is allowed. Exit status 2. */
export class DnctlError extends Error {
  readonly exitCode = 2;
  override readonly name = 'DnctlError';
}
