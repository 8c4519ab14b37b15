/**
 * What the lines of a connection say of the segments behind them. A line carries no sequence number, but field 24 (`snd_max - snd_una`) does not change between
 * two lines of a connection except by the packet of the earlier one: a segment that goes out adds what is new in it, one that comes in takes off what it
 * acknowledges. So each line tells where its segment stands in the sender's sequence space, counted from `snd_una` at the first line, as long as no line is missing.
 */
import { TCPS_CLOSE_WAIT, TCPS_ESTABLISHED } from '../../stack/tcp/tcp-fsm.ts';
import type { Sample } from '../model.ts';

/** Nothing is known of the segment. */
export const UNKNOWN = 0;
/** Out: the segment begins at `rel` and has `span` new bytes (a FIN counts as one). In: it acknowledges up to `rel`. */
export const EXACT = 1;
/** Out: the segment ends at `rel` or before: it has nothing new. In: it acknowledges no more than `rel`. */
export const BOUND = 2;

export interface Line {
  readonly sample: Sample;
  readonly out: boolean;
  fact: typeof UNKNOWN | typeof EXACT | typeof BOUND;
  rel: number;
  span: number;
}

/** Follows the lines of one connection. */
export class Facts {
  /** Sampled after the packet (`hook:tcp`), not before it. */
  readonly #after: boolean;
  /** Field 24 means what it means on FreeBSD, not `inflight:pipe`. */
  readonly #usable: boolean;
  #last: Line | null;
  #inflight: number;
  /** `snd_max` and `snd_una`, counted from `snd_una` at the first line. */
  #max: number;
  #una: number;
  /** Field 24 of the first line; -1 before it. Where it is not 0 the log does not begin with the connection. */
  first: number;

  constructor(modes: readonly string[]) {
    this.#after = modes.includes('hook:tcp');
    this.#usable = !modes.includes('inflight:pipe');
    this.#last = null;
    this.#inflight = 0;
    this.#max = 0;
    this.#una = 0;
    this.first = -1;
  }

  /** Whether a sample is of a later connection with the same addresses and ports. */
  isNew(sample: Sample): boolean {
    const before = this.#last?.sample.state ?? TCPS_ESTABLISHED;
    return sample.state === TCPS_ESTABLISHED && before > TCPS_CLOSE_WAIT;
  }

  /** The next line. What it says of the line before it is filled in there. */
  add(sample: Sample): Line {
    const line: Line = { sample, out: sample.dir === 'o', fact: UNKNOWN, rel: 0, span: 0 };
    const inflight = (sample.inflight ?? 0) | 0;
    const first = this.first < 0;
    if (first) this.first = inflight;
    if (this.#usable && sample.inflight !== null) {
      if (first) {
        this.#max = inflight;
      } else if (this.#after) {
        this.#change(line, inflight - this.#inflight);
      } else if (this.#last !== null) {
        this.#change(this.#last, inflight - this.#inflight);
      }
      this.#inflight = inflight;
    }
    this.#last = line;
    return line;
  }

  /** The packet of `line` changed what is in flight. */
  #change(line: Line, by: number): void {
    if (line.out && by >= 0) {
      line.fact = by > 0 ? EXACT : BOUND;
      line.rel = this.#max;
      line.span = by;
    } else if (!line.out && by <= 0) {
      line.fact = by < 0 ? EXACT : BOUND;
      line.rel = this.#una - by;
    }
    // With a line missing in between, what it did is taken for this one's.
    if (by > 0) this.#max += by;
    else this.#una -= by;
  }
}
