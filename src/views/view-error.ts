/** A question that a view cannot answer because it is wrong: one line for the user; commands end with status 2. */
export class ViewError extends Error {
  override readonly name = 'ViewError';
  readonly exitCode = 2;
  /** HTTP status when the question came over the control socket. */
  readonly statusCode = 400;
}
