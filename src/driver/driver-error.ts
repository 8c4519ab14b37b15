/** Why a driver call refused: the text is one line meant for the user (DESIGN.md, "Bad input"). */
export type DriverErrorCode =
  | 'EBADNAME'
  | 'ENOIFACE'
  | 'ENONETNS'
  | 'ENOUSER'
  | 'EUNREADABLE'
  | 'EQUEUES'
  | 'EPREFLIGHT'
  | 'EINUSE'
  | 'ELIVE'
  | 'ELISTEN'
  | 'ENARROW'
  | 'EMTU'
  | 'EUNDO'
  | 'EGUARD'
  | 'EPRIVILEGE'
  | 'ENOPERM'
  | 'ETOOL';

const USER_CODES: ReadonlySet<DriverErrorCode> = new Set([
  'EBADNAME',
  'ENOIFACE',
  'ENONETNS',
  'ENOUSER',
  'EQUEUES',
  'EPREFLIGHT',
  'EMTU',
  'ELIVE',
]);

/** An error whose message alone is for the user. `exitCode` is 2 where the user's input was refused and 1 where the system refused. */
export class DriverError extends Error {
  readonly code: DriverErrorCode;
  readonly exitCode: 1 | 2;
  override readonly name = 'DriverError';

  constructor(code: DriverErrorCode, message: string) {
    super(message);
    this.code = code;
    this.exitCode = USER_CODES.has(code) ? 2 : 1;
  }
}
