import type { Dumbbell } from '../driver/sim/dumbbell.ts';
import type { SimNode } from '../driver/sim/node.ts';
import { COUNTER_SLOTS, tcps } from '../metrics/layout.ts';
import { errnoName } from '../stack/errno.ts';
import { listen } from '../stack/socket/listener.ts';
import { type ConnectOptions, connect, type Socket, type SocketHandler } from '../stack/socket/socket.ts';
import { type TcpTraceFn, traceAdd } from '../stack/tcp/tcp-trace.ts';
import { FlowMeter } from './meter.ts';
import type { FlowPlan } from './plan.ts';

/** Port that every receiver listens on. */
export const SIM_PORT = 5001;

/**
 * What a flow sends: bytes whose period is a prime and no power of two of anything, so that a byte in a wrong place shows. The second half repeats
 * the first: a run of up to PERIOD bytes from anywhere is in one piece.
 */
const PERIOD = 65521;
const PATTERN = Buffer.alloc(2 * PERIOD);
for (let i = 0, x = 1; i < PERIOD; i++) {
  x = (Math.imul(x, 1103515245) + 12345) | 0;
  PATTERN[i] = x >>> 16;
  PATTERN[i + PERIOD] = x >>> 16;
}

/** A bulk transfer: its sender, its receiver, and what they saw. */
export class Flow {
  readonly plan: FlowPlan;
  readonly sender: SimNode;
  readonly receiver: SimNode;
  readonly meter: FlowMeter;
  /** Bytes that the receiver's application has got, in order and right. */
  delivered: number;
  /** Bytes given to the sender's TCP. */
  sent: number;
  /** What counts begins at this time, µs, with so many bytes delivered. */
  fromUs: number;
  fromBytes: number;
  /** And ends at this time, with so many; -1 while the flow goes on. */
  endUs: number;
  endBytes: number;
  /** The receiver had all that was to be sent. */
  completed: boolean;
  /** errno name of what ended the connection before its time, or what was wrong with the data. */
  error: string | null;
  readonly #net: Dumbbell['net'];
  /** The sender's counters when what counts began. */
  readonly #counted: Float64Array;
  #stopped: boolean;
  #so: Socket | null;

  constructor(d: Dumbbell, i: number, plan: FlowPlan) {
    this.plan = plan;
    this.sender = d.senders[i]!;
    this.receiver = d.receivers[i]!;
    this.delivered = 0;
    this.sent = 0;
    this.fromUs = plan.startUs;
    this.fromBytes = 0;
    this.endUs = -1;
    this.endBytes = 0;
    this.completed = false;
    this.error = null;
    this.#net = d.net;
    this.#counted = new Float64Array(COUNTER_SLOTS);
    this.#stopped = false;
    this.#so = null;
    this.meter = new FlowMeter(d.net.clock);
    const { meter } = this;
    const trace: TcpTraceFn = (tp, act, arg, seq, len) => meter.trace(tp, act, arg, seq, len);
    traceAdd(this.sender.st, trace);
    d.net.at(plan.startUs, () => this.#start());
    if (plan.stopUs < Number.POSITIVE_INFINITY) d.net.at(plan.stopUs, () => this.#stop());
  }

  /** Lets the receivers of `flows` listen. */
  static listen(flows: readonly Flow[]): void {
    for (const node of new Set(flows.map((f) => f.receiver))) {
      const byAddr = new Map(flows.filter((f) => f.receiver === node).map((f) => [f.sender.addr, f]));
      listen(node.st, { port: SIM_PORT }, (so) => byAddr.get(so.tp!.t_inpcb!.f3)!.#sink());
    }
  }

  /** From now on what happens counts; what was before does not. */
  restart(): void {
    if (this.#net.clock.now > this.fromUs) this.fromUs = this.#net.clock.now;
    this.fromBytes = this.delivered;
    this.#counted.set(this.sender.st.cnt);
    this.meter.restart();
  }

  /** Payload that counts, bytes. */
  get bytes(): number {
    return Math.max(0, this.endBytes - this.fromBytes);
  }

  /** Segments with payload that were sent, those sent again among them. */
  get segments(): number {
    return this.#count(tcps.tcps_sndpack) + this.retransmitted;
  }

  /** Segments sent again, and expiries of the retransmission timer. */
  get retransmitted(): number {
    return this.#count(tcps.tcps_sndrexmitpack);
  }

  get timeouts(): number {
    return this.#count(tcps.tcps_rexmttimeo);
  }

  #count(slot: number): number {
    return this.sender.st.cnt[slot]! - this.#counted[slot]!;
  }

  #start(): void {
    const handler: SocketHandler = {
      connected: (so) => this.#fill(so),
      data: (_so, _u8, _off, len) => len,
      writable: (so) => this.#fill(so),
      end: (so) => so.close(),
      closed: (_so, errno) => {
        this.meter.end();
        if (errno !== 0) this.#fail(errnoName(errno));
      },
    };
    const options: ConnectOptions = {
      faddr: this.receiver.addr,
      fport: SIM_PORT,
      cc: this.plan.cc,
    };
    this.#so = connect(this.sender.st, options, handler);
    this.sender.wake();
  }

  #fill(so: Socket): void {
    const total = this.plan.bytes;
    while (!this.#stopped) {
      const from = this.sent % PERIOD;
      const left = total - this.sent;
      const n = so.send(PATTERN, from, left < PERIOD ? left : PERIOD);
      if (n <= 0) return;
      this.sent += n;
      if (this.sent >= total) {
        this.#stopped = true;
        so.shutdown();
      }
    }
  }

  #stop(): void {
    if (this.endUs < 0) this.#note();
    if (this.#stopped) return;
    this.#stopped = true;
    this.#so?.shutdown();
    this.sender.wake();
  }

  #sink(): SocketHandler {
    return {
      connected: () => {},
      data: (_so, u8, off, len) => this.#take(u8, off, len),
      writable: () => {},
      end: (so) => so.close(),
      closed: (_so, errno) => {
        if (errno !== 0) this.#fail(errnoName(errno));
      },
    };
  }

  #take(u8: Uint8Array, off: number, len: number): number {
    for (let done = 0; done < len; ) {
      const from = (this.delivered + done) % PERIOD;
      const n = Math.min(len - done, PERIOD);
      if (PATTERN.compare(u8, off + done, off + done + n, from, from + n) !== 0) {
        this.#fail(`EDATA: wrong bytes behind ${this.delivered + done}`);
      }
      done += n;
    }
    this.delivered += len;
    if (this.delivered >= this.plan.bytes && this.endUs < 0) {
      this.completed = true;
      this.#note();
    }
    return len;
  }

  #fail(error: string): void {
    this.error ??= error;
    if (this.endUs < 0) this.#note();
  }

  #note(): void {
    this.endUs = this.#net.clock.now;
    this.endBytes = this.delivered;
  }

  /** The experiment is over: what still went on ends here. */
  finish(): void {
    if (this.endUs < 0) this.#note();
  }
}
