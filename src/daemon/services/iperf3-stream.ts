import type { StreamHandler, StreamSocket, Transport } from '../../net/transport.ts';

/** What a full send offers at once: iperf3's own default block. */
const BLOCK = 128 * 1024;

const payload = new Uint8Array(BLOCK);
for (let i = 0, x = 1; i < BLOCK; i++) {
  // a linear congruential sequence: nothing on the way can compress it
  x = (Math.imul(x, 1103515245) + 12345) | 0;
  payload[i] = x >>> 16;
}

/** How the streams of a test send. */
export interface StreamStart {
  /** Bits a second, 0 for as fast as it goes. */
  readonly rate: number;
  /** Bytes of a block. */
  readonly block: number;
  readonly noDelay: boolean;
  /** Congestion control; empty for what it has. A name that is not loaded changes nothing. */
  readonly congestion: string;
}

/** Milliseconds between the portions of a stream that -b holds back. */
const PACE_MS = 2;

/** One data connection of a test, on the shard that its packets come to. Bytes are counted from the cookie's end on. */
export class DataStream implements StreamHandler {
  readonly so: StreamSocket;
  /** Number on its shard, unique while the shard lives. */
  readonly n: number;
  readonly #transport: Transport;
  readonly #gone: (stream: DataStream) => void;
  #bytes = 0;
  #sending = false;
  #alive = true;
  #closing = false;
  /** Retransmitted segments, kept when the control block is gone. */
  #rexmit = 0;
  /** What counts from: bytes, retransmissions and time at the start or at the end of the omitted seconds. */
  #bytes0 = 0;
  #rexmit0 = 0;
  #since = 0;
  #lastAt = 0;
  /** The test is over: what still comes was on its way, and counts with the time at which it came. */
  #stopped = false;
  #pace: NodeJS.Timeout | null = null;
  /** Bytes a millisecond; 0 unlimited. */
  #rate = 0;
  #pacedSince = 0;
  /** Bytes of the block under way that are still to be sent, and the size of a whole one. */
  #blockLeft = 0;
  #block = BLOCK;

  constructor(so: StreamSocket, n: number, transport: Transport, gone: (stream: DataStream) => void) {
    this.so = so;
    this.n = n;
    this.#transport = transport;
    this.#gone = gone;
  }

  connected(): void {}

  data(_so: StreamSocket, _u8: Uint8Array, _off: number, len: number): number {
    this.#bytes += len;
    if (this.#stopped) this.#lastAt = performance.now();
    return len;
  }

  writable(): void {
    if (this.#sending) this.#fill();
  }

  end(): void {
    this.close();
  }

  closed(): void {
    this.retransmits();
    this.#alive = false;
    this.#sending = false;
    this.#stopPace();
    this.#gone(this);
  }

  /**
   * The test begins: `send` says whether this end sends. A stream that is held back to `how.rate` bits a second (0: as fast as it goes)
   * sends whole blocks of `how.block` bytes, because the client reads a block at a time and waits in the middle of one.
   */
  start(send: boolean, how: StreamStart, now: number): void {
    this.#since = now;
    this.#sending = send && this.#alive;
    if (!this.#sending) return;
    if (how.noDelay) this.so.setNoDelay(true);
    if (how.congestion !== '') this.so.setCongestion?.(how.congestion);
    this.#rate = how.rate / 8000;
    this.#block = how.block;
    if (this.#rate > 0) {
      this.#pacedSince = now;
      this.#pace = setInterval(() => {
        this.#transport.enter();
        this.#fill();
      }, PACE_MS);
    }
    this.#fill();
  }

  /** The omitted seconds are over: counting begins anew. */
  resetCounts(now: number): void {
    this.#bytes0 = this.#bytes;
    this.#rexmit0 += this.retransmits();
    this.#since = now;
  }

  /** The test is over: a sender's FIN tells a client in the middle of a block that no more will come. */
  stop(now: number): void {
    this.#stopped = true;
    this.#lastAt = now;
    if (this.#sending) this.so.shutdown();
    this.#stopSending();
  }

  #stopSending(): void {
    this.#sending = false;
    this.#stopPace();
  }

  #stopPace(): void {
    if (this.#pace !== null) clearInterval(this.#pace);
    this.#pace = null;
  }

  #fill(): void {
    for (;;) {
      let want = BLOCK;
      if (this.#rate > 0) {
        if (this.#blockLeft === 0) {
          if (this.#bytes > this.#rate * (performance.now() - this.#pacedSince)) return;
          this.#blockLeft = this.#block;
        }
        if (this.#blockLeft < want) want = this.#blockLeft;
      }
      const n = this.so.send(payload, 0, want);
      if (n <= 0) return;
      this.#bytes += n;
      if (this.#rate > 0) this.#blockLeft -= n;
      if (n < want) return;
    }
  }

  /** Segments sent again so far, as far as they count. */
  retransmits(): number {
    const tp = this.so.tp;
    if (tp !== null) this.#rexmit = tp.snd_rexmitpack;
    return this.#rexmit - this.#rexmit0;
  }

  /** Bytes counted so far. */
  get bytes(): number {
    return this.#bytes - this.#bytes0;
  }

  /** Seconds from the start to the end of the test, or to the last byte that came after it. */
  get seconds(): number {
    return (this.#lastAt - this.#since) / 1000;
  }

  close(): void {
    this.#stopSending();
    if (this.#alive && !this.#closing) this.so.close();
    this.#closing = true;
  }

  abort(): void {
    this.#stopSending();
    if (this.#alive) this.so.abort();
  }
}
