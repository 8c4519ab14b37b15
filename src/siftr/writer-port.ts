import type { CycleEnd } from './writer.ts';

/** The writer as the control sees it. File descriptors are the caller's: they stay open until the promise is settled. */
export interface WriterPort {
  /** Starts a cycle on `fd`. @param limit bytes that may be written, and the rest of a line with them; Infinity for no limit */
  begin(fd: number, limit: number): Promise<void>;
  /** Writes what is pending to the old descriptor, unless that is gone, and goes over to `fd`. */
  switchTo(fd: number, limit: number, oldIsGone: boolean): Promise<void>;
  /** Writes nothing until `switchTo`; what is pending waits. @param why for `onWriteError` */
  hold(why: string): Promise<void>;
  /** Empties the rings, whose producers have stopped or have made a cut (`SiftrHook.cut`), and ends the cycle there. */
  end(): Promise<CycleEnd>;
  /** Takes records from other rings; between cycles. */
  setRings(rings: readonly SharedArrayBuffer[]): Promise<void>;
  /** Ends the thread. */
  close(): Promise<void>;
  /** The byte limit of a descriptor is reached; once a descriptor. */
  onLimit: ((fd: number) => void) | null;
  /** A write failed (once an episode), and later the first one that succeeded again (text null). */
  onWriteError: ((text: string | null) => void) | null;
  /** The thread died; no promise is answered any more. */
  onDeath: ((err: Error) => void) | null;
}
