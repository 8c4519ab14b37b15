import { siftrs } from '../metrics/layout.ts';
import { M_SIFTR, M_SIFTR_CYCLE, M_SIFTR_CYCLE_SHIFT, type Mbuf } from '../rings/mbuf.ts';
import { FlowKey } from '../stack/flow.ts';
import { PFIL_PASS, type PfilCtx, type PfilHook, type Verdict } from '../stack/net/pfil.ts';
import { SockBuf } from '../stack/socket/sockbuf.ts';
import type { Stack } from '../stack/stack.ts';
import type { Inpcb } from '../stack/tcp/tcb.ts';
import { TCPS_CLOSED, TCPS_ESTABLISHED } from '../stack/tcp/tcp-fsm.ts';
import {
  TA_CLOSE,
  TA_DROP,
  TA_INPUT,
  TA_INPUT_DONE,
  TA_OUTPUT,
  TA_OUTPUT_CALL,
  TA_OUTPUT_DONE,
  TA_OUTPUT_FAIL,
  type TcpTap,
  type TcpTraceFn,
  traceAdd,
  traceRemove,
} from '../stack/tcp/tcp-trace.ts';
import type { Tcpcb } from '../stack/tcp/tcpcb.ts';
import { Ages } from './ages.ts';
import { FlowFilter } from './flow-filter.ts';
import { type CycleCounts, cycleCounts } from './format.ts';
import {
  KIND_FLOWTYPE_SHIFT,
  KIND_GEN_SHIFT,
  KIND_GONE,
  KIND_NTH_DIR,
  KIND_OUT,
  KIND_SAME,
  R_F0,
  R_FLOWID,
  R_KIND,
  R_L0,
  R_NTH,
  R_PORTS,
  R_SEC,
  R_SETTLED,
  R_USEC,
  RecordProducer,
  SETTLED_WORDS,
} from './record.ts';
import { CFG_HOOK, CFG_INFLIGHT, CFG_PORT_FILTER, CFG_PPL_DIR, CFG_STRICT, wakeWriter } from './shared.ts';
import { makeSettle, makeSnapshot, type Snapshot } from './snapshot.ts';

const snapshotFlight = makeSnapshot();
const snapshotPipe = makeSnapshot(true);
const settle = makeSettle();

const IPPROTO_TCP = 6;
/** Offsets in the IPv4 header. */
const IP_OFF = 6;
const IP_P = 9;
const IP_SRC = 12;
const IP_DST = 16;
/** More fragments, and the offset of this one. */
const IP_FRAGMENT = 0x3fff;
/** What must be there of a TCP header: all, or for siftr(4) the ports. */
const TCP_HDR = 20;
const TCP_PORTS = 4;

/** Stands for the buffers of a socket that is gone while its control block lives on. */
const NO_SOCKBUF = new SockBuf(0);

/**
 * SIFTR's filter hook of one shard: sees every IPv4 packet in and out, counts, and leaves a record of the control block in the
 * shard's ring (spec/siftr.md section 5.2). It passes every packet and allocates nothing but a few words for a
 * connection's first record in a cycle.
 *
 * With `hook=tcp` (section 14 item 5) it still counts here, and TCP's trace point says when to sample:
 *
 *   in    seen, marked -> tcpInput … processed -> sampled before the first output, before the block is freed, or at the end
 *   out   tcpOutput -> seen -> … bookkeeping   -> sampled
 *
 * What comes in and never gets to a connection is skipped_inpcb; of what IP drops, or somebody holds, that is known at the cycle's end.
 */
export class SiftrHook implements PfilHook, TcpTap {
  readonly mod = 'siftr';
  readonly rul = 'default';
  readonly type = 'inet';
  readonly flags = 0;
  readonly #st: Stack;
  readonly #cnt: Float64Array;
  readonly #dv: DataView;
  readonly #cfg: Int32Array;
  #ring: RecordProducer;
  #words: Int32Array;
  #snapshot: Snapshot;
  readonly #key: FlowKey;
  readonly #flows: FlowFilter;
  readonly #ages: Ages;
  readonly #trace: TcpTraceFn;
  readonly #gone: (inp: Inpcb) => void;
  #hooked: boolean;
  /** `net.inet.siftr.strict`, and `hook=tcp`: of the cycle. */
  #strict: boolean;
  #tcp: boolean;
  /** Number of the cycle, int32, and what marks its packets in `mflags`. */
  #cycle: number;
  #mark: number;

  // hook=tcp:
  /** Packets in, seen, of which TCP has not told yet what became of them. */
  #open: number;
  /** The segment that TCP processes is one of the cycle and not sampled yet; its connection, once it is known, and its stamp. */
  #due: boolean;
  #dueTp: Tcpcb | null;
  #dueTime: number;
  /** tcpOutput has handed a segment of this block to IP, and it has passed the hook. */
  #sending: Tcpcb | null;
  #sent: boolean;
  /** The block that is being dropped, and its state before. */
  #dropTp: Tcpcb | null;
  #dropState: number;

  /** The clock's µs for which `#nowSec` and `#nowUsec` hold. */
  #nowUs: number;
  #nowSec: number;
  #nowUsec: number;
  /** Time of the last record: none goes back behind it (section 13 rule 7). */
  #lastSec: number;
  #lastUsec: number;

  /**
   * @param st   the shard's stack
   * @param ring memory of `createRing`; this shard is its only producer
   * @param cfg  the process's shared settings
   */
  constructor(st: Stack, ring: SharedArrayBuffer, cfg: Int32Array) {
    this.#st = st;
    this.#cnt = st.cnt;
    this.#dv = st.pool.dv;
    this.#cfg = cfg;
    this.#ring = new RecordProducer(ring);
    this.#words = this.#ring.words;
    this.#snapshot = snapshotFlight;
    this.#key = new FlowKey();
    this.#flows = new FlowFilter(cfg);
    this.#ages = new Ages(st.cnt);
    this.#trace = (tp, act) => this.#traced(tp, act);
    this.#gone = (inp) => this.#noteGone(inp);
    this.#hooked = false;
    this.#strict = false;
    this.#tcp = false;
    this.#cycle = 0;
    this.#mark = 0;
    this.#open = 0;
    this.#due = false;
    this.#dueTp = null;
    this.#dueTime = 0;
    this.#sending = null;
    this.#sent = false;
    this.#dropTp = null;
    this.#dropState = 0;
    this.#nowUs = 0;
    this.#nowSec = 0;
    this.#nowUsec = 0;
    this.#lastSec = 0;
    this.#lastUsec = 0;
  }

  /** Links the hook in both directions. @param enableUs enable time, wall µs: no record is earlier (section 13 rule 1) */
  hook(enableUs: number): void {
    if (this.#hooked) return;
    const cfg = this.#cfg;
    this.#strict = cfg[CFG_STRICT] !== 0;
    this.#tcp = !this.#strict && cfg[CFG_HOOK] !== 0;
    this.#snapshot = !this.#strict && cfg[CFG_INFLIGHT] !== 0 ? snapshotPipe : snapshotFlight;
    this.#nextCycle();
    this.#lastSec = Math.floor(enableUs / 1e6);
    this.#lastUsec = Math.floor(enableUs - this.#lastSec * 1e6);
    this.#ring.resetHigh();
    this.#readClock();
    const { pfil, tcp } = this.#st;
    pfil.addHook(this);
    pfil.link(pfil.inet, this, { in: true, out: true });
    tcp.gone = this.#gone;
    if (this.#tcp) {
      traceAdd(this.#st, this.#trace);
      tcp.tap = this;
    }
    this.#hooked = true;
  }

  /** Takes the hook off both directions. Records already made stay in the ring. */
  unhook(): void {
    if (!this.#hooked) return;
    const { pfil, tcp } = this.#st;
    pfil.removeHook(this);
    tcp.gone = null;
    if (this.#tcp) {
      tcp.tap = null;
      traceRemove(this.#st, this.#trace);
      this.#settle();
      this.#sending = null;
      this.#dropTp = null;
    }
    this.#ring.publish();
    this.#hooked = false;
  }

  /** Lets the writer see the records made so far: to be called at the end of each batch. */
  publish(): void {
    this.#ring.publish();
  }

  /** The packets of this cycle that are still open: IP dropped them, or somebody holds them, and no connection has had them in it. */
  #settle(): void {
    this.#cnt[siftrs.siftrs_nskip_in_inpcb]! += this.#open;
    this.#open = 0;
    this.#due = false;
    this.#dueTp = null;
  }

  /** From here on packets are of another cycle: marked so, and numbered from 1. */
  #nextCycle(): void {
    this.#cycle = (this.#cycle + 1) | 0;
    this.#mark = M_SIFTR | ((1 + ((this.#cycle >>> 0) % 255)) << M_SIFTR_CYCLE_SHIFT);
  }

  /**
   * Ends a cycle and begins the next one between two packets: what was recorded before is the old one's, no record after is earlier than the
   * new one's enable time.
   * @param enableUs time of the new enable line, wall µs
   * @returns this shard's counters at the cut
   */
  cut(enableUs: number): CycleCounts {
    const sec = Math.floor(enableUs / 1e6);
    const usec = Math.floor(enableUs - sec * 1e6);
    if (sec > this.#lastSec || (sec === this.#lastSec && usec > this.#lastUsec)) {
      this.#lastSec = sec;
      this.#lastUsec = usec;
    }
    this.#settle();
    this.#nextCycle();
    this.#ring.cut();
    return cycleCounts([this.#cnt]);
  }

  /** Records go to another ring from now on. @param ring memory of `createRing`; called while not hooked */
  setRing(ring: SharedArrayBuffer): void {
    if (this.#hooked) throw new Error('SIFTR: a ring is changed between cycles only');
    this.#ring = new RecordProducer(ring);
    this.#words = this.#ring.words;
  }

  /** Outbound records were made since `batchEnd`. */
  get clockUsed(): boolean {
    return this.#ages.clockUsed;
  }

  /** End of a batch that had outbound records. @param us µs from the reading of the clock that they have to now */
  batchEnd(us: number): void {
    this.#ages.batchEnd(us);
  }

  mbuf(m: Mbuf, ctx: PfilCtx): Verdict {
    const dv = this.#dv;
    const ip = m.pos;
    if (dv.getUint8(ip + IP_P) !== IPPROTO_TCP) return PFIL_PASS;
    const cnt = this.#cnt;
    const out = ctx.dir === 'out';
    // Before the first output that a segment causes.
    if (this.#dueTp !== null) this.#sampleInput();

    if (!this.#strict && (dv.getUint16(ip + IP_OFF) & IP_FRAGMENT) !== 0) {
      cnt[siftrs.siftrs_fragments]!++;
      return PFIL_PASS;
    }
    // A packet cut short of its header counts with ports 0.
    const th = ip + ((dv.getUint8(ip) & 0x0f) << 2);
    const whole = th + (this.#strict ? TCP_PORTS : TCP_HDR) <= m.pos + m.len;
    const sport = whole ? dv.getUint16(th) : 0;
    const dport = whole ? dv.getUint16(th + 2) : 0;
    const filter = this.#cfg[CFG_PORT_FILTER]!;
    if (filter !== 0 && sport !== filter && dport !== filter) return this.#filtered(out);
    const src = dv.getInt32(ip + IP_SRC);
    const dst = dv.getInt32(ip + IP_DST);
    const flows = this.#flows;
    if (flows.on && !this.#strict) {
      const passes = out ? flows.passesV4(src, sport, dst, dport) : flows.passesV4(dst, dport, src, sport);
      if (!passes) return this.#filtered(out);
    }

    if ((m.mflags & M_SIFTR) !== 0) {
      cnt[siftrs.siftrs_dejavu]!++;
      return PFIL_PASS;
    }
    cnt[out ? siftrs.siftrs_n_out : siftrs.siftrs_n_in]!++;
    if (!this.#tcp) {
      m.mflags |= M_SIFTR;
    } else if (!out) {
      m.mflags |= this.#mark;
      this.#open++;
      return PFIL_PASS;
    } else {
      m.mflags |= M_SIFTR;
      const tp = this.#sending;
      if (tp !== null && tp.t_inpcb === ctx.inp) {
        this.#sent = true;
        return PFIL_PASS;
      }
    }

    let inp = ctx.inp as Inpcb | null;
    if (inp === null && whole) {
      if (out) this.#key.setV4(src, sport, dst, dport);
      else this.#key.setV4(dst, dport, src, sport);
      inp = this.#st.tcp.tcb.lookup(this.#key);
    }
    if (inp === null) cnt[out ? siftrs.siftrs_nskip_out_inpcb : siftrs.siftrs_nskip_in_inpcb]!++;
    else this.#record(inp, inp.tp, out, m.time);
    return PFIL_PASS;
  }

  #filtered(out: boolean): Verdict {
    this.#cnt[out ? siftrs.siftrs_filtered_out : siftrs.siftrs_filtered_in]!++;
    return PFIL_PASS;
  }

  /** Steps 7 to 10 of section 5.2. @param time receive stamp of the frame, int32 µs; inbound only */
  #record(inp: Inpcb, tp: Tcpcb | null, out: boolean, time: number): void {
    const cnt = this.#cnt;
    const state =
      tp === null ? TCPS_CLOSED : tp === this.#dropTp && tp.t_state === TCPS_CLOSED ? this.#dropState : tp.t_state;
    if (tp === null || state < TCPS_ESTABLISHED) {
      cnt[out ? siftrs.siftrs_nskip_out_tcpcb : siftrs.siftrs_nskip_in_tcpcb]!++;
      return;
    }
    if (inp.siftr_cycle !== this.#cycle) {
      inp.siftr_cycle = this.#cycle;
      inp.siftr_in = 0;
      inp.siftr_out = 0;
      inp.siftr_settled = null;
    }
    if (out) inp.siftr_out = (inp.siftr_out + 1) | 0;
    else inp.siftr_in = (inp.siftr_in + 1) | 0;

    const ring = this.#ring;
    const r = ring.reserve();
    cnt[siftrs.siftrs_queue_high_water] = ring.high;
    if (ring.wantWake) {
      ring.wantWake = false;
      wakeWriter(this.#cfg);
    }
    if (r < 0) {
      cnt[out ? siftrs.siftrs_nskip_out_malloc : siftrs.siftrs_nskip_in_malloc]!++;
      cnt[out ? siftrs.siftrs_queue_drops_out : siftrs.siftrs_queue_drops_in]!++;
      return;
    }
    const w = this.#words;
    let kind = (out ? KIND_OUT : 0) | (inp.inp_flowtype << KIND_FLOWTYPE_SHIFT) | (inp.inp_gencnt << KIND_GEN_SHIFT);
    if (this.#cfg[CFG_PPL_DIR] === 0) {
      w[r + R_NTH] = inp.siftr_in + inp.siftr_out;
    } else {
      kind |= KIND_NTH_DIR;
      w[r + R_NTH] = out ? inp.siftr_out : inp.siftr_in;
    }
    w[r + R_FLOWID] = inp.inp_flowid;
    const so = inp.inp_socket;
    const snd = so === null ? NO_SOCKBUF : so.so_snd;
    const rcv = so === null ? NO_SOCKBUF : so.so_rcv;
    this.#snapshot(w, r, tp, snd, rcv);
    // siftr(4) tells flows by their flowid alone: with `strict` no record may lean on another.
    const first = inp.siftr_settled === null || this.#strict;
    const settled = (inp.siftr_settled ??= new Int32Array(SETTLED_WORDS));
    if (settle(settled, tp, snd, rcv, state) || first) {
      for (let i = 0; i < SETTLED_WORDS; i++) w[r + R_SETTLED + i] = settled[i]!;
      this.#name(w, r, inp);
    } else {
      kind |= KIND_SAME;
    }
    w[r + R_KIND] = kind;
    this.#stamp(w, r, out, time);
    ring.commit();
  }

  /** Which connection a record is of: the words of its second half. */
  #name(w: Int32Array, r: number, inp: Inpcb): void {
    w[r + R_L0] = inp.l0;
    w[r + R_L0 + 1] = inp.l1;
    w[r + R_L0 + 2] = inp.l2;
    w[r + R_L0 + 3] = inp.l3;
    w[r + R_F0] = inp.f0;
    w[r + R_F0 + 1] = inp.f1;
    w[r + R_F0 + 2] = inp.f2;
    w[r + R_F0 + 3] = inp.f3;
    w[r + R_PORTS] = (inp.lport << 16) | inp.fport;
  }

  /** A segment comes to TCP (hook=tcp). */
  arrives(m: Mbuf): void {
    this.#due = (m.mflags & (M_SIFTR | M_SIFTR_CYCLE)) === this.#mark;
    this.#dueTp = null;
    this.#dueTime = m.time;
    if (this.#due) this.#open--;
  }

  /** It had no connection: a closed port, a handshake in the SYN cache, a wrong checksum. */
  processed(): void {
    if (!this.#due) return;
    this.#due = false;
    this.#cnt[siftrs.siftrs_nskip_in_inpcb]!++;
  }

  /** The trace point (hook=tcp). */
  #traced(tp: Tcpcb, act: number): void {
    switch (act) {
      case TA_INPUT:
        if (this.#due) this.#dueTp = tp;
        break;
      case TA_OUTPUT_CALL:
        if (this.#dueTp !== null) this.#sampleInput();
        break;
      case TA_INPUT_DONE:
        if (this.#dueTp === tp) this.#sampleInput();
        break;
      case TA_OUTPUT:
        this.#sending = tp;
        this.#sent = false;
        break;
      case TA_OUTPUT_DONE:
      case TA_OUTPUT_FAIL:
        this.#sending = null;
        if (!this.#sent) break;
        this.#sent = false;
        this.#record(tp.t_inpcb!, tp, true, 0);
        break;
      case TA_DROP:
        if (this.#dueTp === tp) this.#sampleInput();
        this.#dropTp = tp;
        this.#dropState = tp.t_state;
        break;
      case TA_CLOSE:
        if (this.#dueTp === tp) this.#sampleInput();
        if (this.#dropTp === tp) this.#dropTp = null;
        break;
    }
  }

  /** Samples the connection of the segment that is being processed. */
  #sampleInput(): void {
    const tp = this.#dueTp!;
    this.#due = false;
    this.#dueTp = null;
    this.#record(tp.t_inpcb!, tp, false, this.#dueTime);
  }

  /** Leaves a note for the writer that a connection is gone. Where the ring is full the writer keeps its entry until the cycle ends. */
  #noteGone(inp: Inpcb): void {
    if (inp.siftr_settled === null) return;
    inp.siftr_settled = null;
    const r = this.#ring.reserve();
    if (r < 0) return;
    const w = this.#words;
    w[r + R_KIND] = KIND_GONE | (inp.inp_gencnt << KIND_GEN_SHIFT);
    w[r + R_FLOWID] = inp.inp_flowid;
    this.#name(w, r, inp);
    w[r + R_SEC] = this.#lastSec;
    w[r + R_USEC] = this.#lastUsec;
    this.#ring.commit();
  }

  /**
   * Time of the record: the frame's receive stamp inbound, the shard's current clock outbound (section 13 rule 6), and with hook=tcp,
   * where it is that of the sampling. Whole numbers only: wall time as one float would be boxed for each packet.
   */
  #stamp(w: Int32Array, r: number, out: boolean, time: number): void {
    const now = this.#st.clock.us;
    if (now !== this.#nowUs) this.#readClock();
    let sec = this.#nowSec;
    let usec = this.#nowUsec;
    if (out) {
      this.#ages.clockUsed = true;
    } else {
      const age = (now - time) | 0;
      this.#ages.frame(age);
      if (!this.#tcp) {
        usec -= age;
        if (usec < 0 || usec >= 1e6) {
          const d = Math.floor(usec / 1e6);
          sec += d;
          usec -= d * 1e6;
        }
      }
    }
    if (sec < this.#lastSec || (sec === this.#lastSec && usec < this.#lastUsec)) {
      sec = this.#lastSec;
      usec = this.#lastUsec;
    } else {
      this.#lastSec = sec;
      this.#lastUsec = usec;
    }
    w[r + R_SEC] = sec;
    w[r + R_USEC] = usec;
  }

  /** Takes over the clock's wall time, once for each of its readings. */
  #readClock(): void {
    const clock = this.#st.clock;
    const wall = clock.wallUs();
    this.#nowUs = clock.us;
    this.#nowSec = Math.floor(wall / 1e6);
    this.#nowUsec = Math.floor(wall - this.#nowSec * 1e6);
  }
}
