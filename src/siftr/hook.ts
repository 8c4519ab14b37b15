import { siftrs } from '../metrics/layout.ts';
import { M_SIFTR, type Mbuf } from '../rings/mbuf.ts';
import { FlowKey } from '../stack/flow.ts';
import { PFIL_PASS, type PfilCtx, type PfilHook, type Verdict } from '../stack/net/pfil.ts';
import { SockBuf } from '../stack/socket/sockbuf.ts';
import type { Stack } from '../stack/stack.ts';
import type { Inpcb } from '../stack/tcp/tcb.ts';
import { TCPS_ESTABLISHED } from '../stack/tcp/tcp-fsm.ts';
import { type CycleCounts, cycleCounts } from './format.ts';
import {
  KIND_FLOWTYPE_SHIFT,
  KIND_GEN_SHIFT,
  KIND_GONE,
  KIND_OUT,
  R_F0,
  R_FLOWID,
  R_KIND,
  R_L0,
  R_PORTS,
  R_SEC,
  R_USEC,
  RecordProducer,
} from './record.ts';
import { CFG_PORT_FILTER, wakeWriter } from './shared.ts';
import { makeSnapshot, type Snapshot } from './snapshot.ts';

const IPPROTO_TCP = 6;
/** Offsets in the IPv4 header. */
const IP_P = 9;
const IP_SRC = 12;
const IP_DST = 16;

/** Stands for the buffers of a socket that is gone while its control block lives on. */
const NO_SOCKBUF = new SockBuf(0);

/**
 * SIFTR's filter hook of one shard: sees every IPv4 packet in and out, counts, and leaves a record of the control block in the
 * shard's ring (spec/siftr.md section 5.2). It passes every packet and allocates nothing.
 */
export class SiftrHook implements PfilHook {
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
  readonly #snapshot: Snapshot;
  readonly #key: FlowKey;
  readonly #gone: (inp: Inpcb) => void;
  #hooked: boolean;
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
    this.#snapshot = makeSnapshot();
    this.#key = new FlowKey();
    this.#gone = (inp) => this.#noteGone(inp);
    this.#hooked = false;
    this.#nowUs = 0;
    this.#nowSec = 0;
    this.#nowUsec = 0;
    this.#lastSec = 0;
    this.#lastUsec = 0;
  }

  /** Links the hook in both directions. @param enableUs enable time, wall µs: no record is earlier (section 13 rule 1) */
  hook(enableUs: number): void {
    if (this.#hooked) return;
    this.#lastSec = Math.floor(enableUs / 1e6);
    this.#lastUsec = Math.floor(enableUs - this.#lastSec * 1e6);
    this.#ring.resetHigh();
    this.#readClock();
    const pfil = this.#st.pfil;
    pfil.addHook(this);
    pfil.link(pfil.inet, this, { in: true, out: true });
    this.#st.tcp.gone = this.#gone;
    this.#hooked = true;
  }

  /** Takes the hook off both directions. Records already made stay in the ring. */
  unhook(): void {
    if (!this.#hooked) return;
    this.#st.pfil.removeHook(this);
    this.#st.tcp.gone = null;
    this.#hooked = false;
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
    this.#ring.cut();
    return cycleCounts([this.#cnt]);
  }

  /** Records go to another ring from now on. @param ring memory of `createRing`; called while not hooked */
  setRing(ring: SharedArrayBuffer): void {
    if (this.#hooked) throw new Error('SIFTR: a ring is changed between cycles only');
    this.#ring = new RecordProducer(ring);
    this.#words = this.#ring.words;
  }

  mbuf(m: Mbuf, ctx: PfilCtx): Verdict {
    const dv = this.#dv;
    const ip = m.pos;
    if (dv.getUint8(ip + IP_P) !== IPPROTO_TCP) return PFIL_PASS;
    const cnt = this.#cnt;
    const out = ctx.dir === 'out';

    // Fragments are not looked for, as in the original; a packet cut short of its ports counts with ports 0.
    const th = ip + ((dv.getUint8(ip) & 0x0f) << 2);
    const whole = th + 4 <= m.pos + m.len;
    const sport = whole ? dv.getUint16(th) : 0;
    const dport = whole ? dv.getUint16(th + 2) : 0;
    const filter = this.#cfg[CFG_PORT_FILTER]!;
    if (filter !== 0 && sport !== filter && dport !== filter) {
      cnt[out ? siftrs.siftrs_filtered_out : siftrs.siftrs_filtered_in]!++;
      return PFIL_PASS;
    }

    if ((m.mflags & M_SIFTR) !== 0) {
      cnt[siftrs.siftrs_dejavu]!++;
      return PFIL_PASS;
    }
    m.mflags |= M_SIFTR;
    cnt[out ? siftrs.siftrs_n_out : siftrs.siftrs_n_in]!++;

    let inp = ctx.inp as Inpcb | null;
    if (inp === null && whole) {
      const src = dv.getInt32(ip + IP_SRC);
      const dst = dv.getInt32(ip + IP_DST);
      if (out) this.#key.setV4(src, sport, dst, dport);
      else this.#key.setV4(dst, dport, src, sport);
      inp = this.#st.tcp.tcb.lookup(this.#key);
    }
    if (inp === null) {
      cnt[out ? siftrs.siftrs_nskip_out_inpcb : siftrs.siftrs_nskip_in_inpcb]!++;
      return PFIL_PASS;
    }
    const tp = inp.tp;
    if (tp === null || tp.t_state < TCPS_ESTABLISHED) {
      cnt[out ? siftrs.siftrs_nskip_out_tcpcb : siftrs.siftrs_nskip_in_tcpcb]!++;
      return PFIL_PASS;
    }

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
      return PFIL_PASS;
    }
    const w = this.#words;
    w[r + R_KIND] =
      (out ? KIND_OUT : 0) | (inp.inp_flowtype << KIND_FLOWTYPE_SHIFT) | (inp.inp_gencnt << KIND_GEN_SHIFT);
    this.#name(w, r, inp);
    inp.siftr_known = true;
    const so = inp.inp_socket;
    if (so === null) this.#snapshot(w, r, tp, NO_SOCKBUF, NO_SOCKBUF);
    else this.#snapshot(w, r, tp, so.so_snd, so.so_rcv);
    this.#stamp(w, r, out, m.time);
    ring.commit();
    return PFIL_PASS;
  }

  /** Which connection a record is of. */
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
    w[r + R_FLOWID] = inp.inp_flowid;
  }

  /** Leaves a note for the writer that a connection is gone. Where the ring is full the writer keeps its entry until the cycle ends. */
  #noteGone(inp: Inpcb): void {
    if (!inp.siftr_known) return;
    inp.siftr_known = false;
    const r = this.#ring.reserve();
    if (r < 0) return;
    const w = this.#words;
    w[r + R_KIND] = KIND_GONE | (inp.inp_gencnt << KIND_GEN_SHIFT);
    this.#name(w, r, inp);
    w[r + R_SEC] = this.#lastSec;
    w[r + R_USEC] = this.#lastUsec;
    this.#ring.commit();
  }

  /**
   * Time of the record: the frame's receive stamp inbound, the shard's current clock outbound (section 13 rule 6). Whole numbers
   * only: wall time as one float would be boxed for each packet.
   */
  #stamp(w: Int32Array, r: number, out: boolean, time: number): void {
    const now = this.#st.clock.us;
    if (now !== this.#nowUs) this.#readClock();
    let sec = this.#nowSec;
    let usec = this.#nowUsec;
    if (!out) {
      usec += (time - now) | 0;
      if (usec < 0 || usec >= 1e6) {
        const d = Math.floor(usec / 1e6);
        sec += d;
        usec -= d * 1e6;
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
