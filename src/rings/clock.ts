/** Time and randomness as the pure parts see them: handed in, never read from the machine. */

export interface Clock {
  /** Microseconds, int32, wrapping; compare with `(a - b) | 0`. Set from the current frame or timer pass. */
  us: number;
  /** Milliseconds, int32, wrapping, derived from the same source as `us`: TCP timestamps count in it. */
  ms: number;
  /** Wall time in microseconds since the UNIX epoch that belongs to `us`; Float64, only for records. */
  wallUs(): number;
}

export interface Random {
  /** A uniform int32. */
  next32(): number;
}
