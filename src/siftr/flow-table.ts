import { inetNtop } from '../stack/net/in6-addr.ts';
import { FlowList } from './flow-list.ts';
import { PplCount } from './ppl.ts';
import {
  KIND_GEN_SHIFT,
  KIND_NTH_DIR,
  KIND_OUT,
  KIND_SAME,
  R_CWND,
  R_F0,
  R_FLOWID,
  R_KIND,
  R_L0,
  R_NTH,
  R_PORTS,
  R_SETTLED,
  SETTLED_WORDS,
} from './record.ts';

const ASCII = new TextEncoder();

/** A connection seen since the last enable (`struct flow_hash_node`). */
export class Flow {
  readonly flowid: number;
  readonly l0: number;
  readonly l1: number;
  readonly l2: number;
  readonly l3: number;
  readonly f0: number;
  readonly f1: number;
  readonly f2: number;
  readonly f3: number;
  /** Local port in the upper half, foreign in the lower. */
  readonly ports: number;
  /** Which connection of this tuple, 16 bits of `inp_gencnt`. */
  readonly gen: number;
  /** Fields 3 to 6 of a data line with a comma before and after, in ASCII: `,192.0.2.1,5201,192.0.2.2,40000,`. */
  readonly text: Uint8Array;
  /** The numbers of the second half of its records, and how often one of them has changed. */
  readonly settled: Uint32Array;
  changes: number;
  /** The ring that its records are in. */
  readonly #ring: Uint32Array;
  /** Packets since the last one logged, 16 bits as in FreeBSD (spec/siftr.md section 6). */
  nth: number;
  /** Next in the bucket: older. */
  next: Flow | null;
  /** Packets of both directions, and of each where they are numbered so. */
  readonly #both: PplCount;
  #in: PplCount | null;
  #out: PplCount | null;
  /** Congestion window of the last line; -1 before the first. */
  #cwnd: number;

  constructor(rec: Uint32Array, r: number, next: Flow | null) {
    this.flowid = rec[r + R_FLOWID]!;
    this.l0 = rec[r + R_L0]!;
    this.l1 = rec[r + R_L0 + 1]!;
    this.l2 = rec[r + R_L0 + 2]!;
    this.l3 = rec[r + R_L0 + 3]!;
    this.f0 = rec[r + R_F0]!;
    this.f1 = rec[r + R_F0 + 1]!;
    this.f2 = rec[r + R_F0 + 2]!;
    this.f3 = rec[r + R_F0 + 3]!;
    this.ports = rec[r + R_PORTS]!;
    this.gen = rec[r + R_KIND]! >>> KIND_GEN_SHIFT;
    this.text = ASCII.encode(`,${this.#laddr()},${this.ports >>> 16},${this.#faddr()},${this.ports & 0xffff},`);
    this.settled = rec.slice(r + R_SETTLED, r + R_SETTLED + SETTLED_WORDS);
    this.changes = 0;
    this.#ring = rec;
    this.nth = 0;
    this.#both = new PplCount();
    this.#in = null;
    this.#out = null;
    this.#cwnd = -1;
    this.next = next;
  }

  /** Of the connection of a record without a second half? The hook leaves that out when the record before had it, in the same ring. */
  continues(rec: Uint32Array, r: number): boolean {
    return this.flowid === rec[r + R_FLOWID] && this.gen === rec[r + R_KIND]! >>> KIND_GEN_SHIFT && this.#ring === rec;
  }

  /** Takes the numbers of a record's second half over. */
  settle(rec: Uint32Array, r: number): void {
    const { settled } = this;
    for (let i = 0; i < SETTLED_WORDS; i++) {
      const n = rec[r + R_SETTLED + i]!;
      if (settled[i] === n) continue;
      settled[i] = n;
      this.changes++;
    }
  }

  /** Of the record's connection? */
  matches(rec: Uint32Array, r: number): boolean {
    return this.gen === rec[r + R_KIND]! >>> KIND_GEN_SHIFT && this.sameTuple(rec, r);
  }

  /** Of the record's flow? The tuple decides, so that two flows with one flowid are never mixed up. */
  sameTuple(rec: Uint32Array, r: number): boolean {
    return (
      this.flowid === rec[r + R_FLOWID] &&
      this.ports === rec[r + R_PORTS] &&
      this.f3 === rec[r + R_F0 + 3] &&
      this.l3 === rec[r + R_L0 + 3] &&
      this.f2 === rec[r + R_F0 + 2] &&
      this.l2 === rec[r + R_L0 + 2] &&
      this.f1 === rec[r + R_F0 + 1] &&
      this.l1 === rec[r + R_L0 + 1] &&
      this.f0 === rec[r + R_F0] &&
      this.l0 === rec[r + R_L0]
    );
  }

  /** The flow as `flow_list` spells it, without the comma. */
  listEntry(): string {
    return `${this.#laddr()};${this.ports >>> 16}-${this.#faddr()};${this.ports & 0xffff}`;
  }

  #laddr(): string {
    return inetNtop(this.l0, this.l1, this.l2, this.l3);
  }

  #faddr(): string {
    return inetNtop(this.f0, this.f1, this.f2, this.f3);
  }

  /** The ppl test of the record at word `r`, see PplCount. */
  dueNth(ppl: number, rec: Uint32Array, r: number, first: boolean): boolean {
    const kind = rec[r + R_KIND]!;
    let count = this.#both;
    if ((kind & (KIND_NTH_DIR | KIND_OUT)) === (KIND_NTH_DIR | KIND_OUT)) count = this.#out ??= new PplCount();
    else if ((kind & KIND_NTH_DIR) !== 0) count = this.#in ??= new PplCount();
    return count.due(ppl, rec[r + R_NTH]!, first);
  }

  /** The record that is to become a line has another congestion window than the last line of the flow, or is the first. */
  cwndChanged(rec: Uint32Array, r: number): boolean {
    const cwnd = rec[r + R_CWND]!;
    if (cwnd === this.#cwnd) return false;
    this.#cwnd = cwnd;
    return true;
  }

  /**
   * The ppl test of section 6, with `strict=1`: true when this record is to be logged. `ppl` is uint32; up to 1 logs all. The counter has 16
   * bits, so a ppl beyond 65536 works as 65536.
   */
  due(ppl: number): boolean {
    if (ppl <= 1) return true;
    this.nth = ((this.nth + 1) % ppl) & 0xffff;
    return this.nth === 0;
  }
}

const BUCKETS = 65536;
const MASK = BUCKETS - 1;

/**
 * The connections of one enable/disable cycle: 65536 buckets by `flowid & 0xffff`, newest first in a bucket (spec/siftr.md section 8). An entry goes when its
 * connection does (section 14 item 4); `flows` remembers it for `flow_list`. With `strict` entries stay until `clear`, and the flowid alone decides,
 * as in siftr(4).
 */
export class FlowTable {
  readonly flows: FlowList;
  readonly #buckets: (Flow | null)[];
  #strict: boolean;
  #size: number;
  /** The flow of the record before: packets come in runs. */
  #last: Flow | null;

  constructor() {
    this.flows = new FlowList();
    this.#buckets = new Array(BUCKETS).fill(null);
    this.#strict = false;
    this.#size = 0;
    this.#last = null;
  }

  /** Entries. */
  get size(): number {
    return this.#size;
  }

  /** The flow of the record at word `r` of `rec`; made when it is new. */
  find(rec: Uint32Array, r: number): Flow {
    const last = this.#last;
    if ((rec[r + R_KIND]! & KIND_SAME) !== 0) return last?.continues(rec, r) ? last : this.#known(rec, r);
    if (last?.matches(rec, r)) {
      last.settle(rec, r);
      return last;
    }
    const bucket = rec[r + R_FLOWID]! & MASK;
    let flow: Flow | null = this.#buckets[bucket]!;
    while (flow !== null && !(this.#strict ? flow.flowid === rec[r + R_FLOWID] : flow.sameTuple(rec, r)))
      flow = flow.next;
    if (flow !== null && !this.#strict && !flow.matches(rec, r)) {
      // A connection that had this tuple before, and of whose end no record is there: the ring was full.
      this.#remove(flow);
      flow = null;
    }
    if (flow === null) {
      flow = new Flow(rec, r, this.#buckets[bucket]!);
      this.#buckets[bucket] = flow;
      this.#size++;
      if (!this.#strict) this.flows.open(flow);
    } else {
      flow.settle(rec, r);
    }
    this.#last = flow;
    return flow;
  }

  /** The flow of a record without a second half. */
  #known(rec: Uint32Array, r: number): Flow {
    let flow: Flow | null = this.#buckets[rec[r + R_FLOWID]! & MASK]!;
    while (flow !== null && !flow.continues(rec, r)) flow = flow.next;
    if (flow === null) throw new Error(`a SIFTR record continues flow ${rec[r + R_FLOWID]}, which has none before it`);
    this.#last = flow;
    return flow;
  }

  /** The connection of the record is gone: a note that the hook leaves, and no packet. */
  gone(rec: Uint32Array, r: number): void {
    if (this.#strict) return;
    let flow: Flow | null = this.#buckets[rec[r + R_FLOWID]! & MASK]!;
    while (flow !== null && !flow.matches(rec, r)) flow = flow.next;
    if (flow !== null) this.#remove(flow);
  }

  #remove(flow: Flow): void {
    const bucket = flow.flowid & MASK;
    let p: Flow | null = this.#buckets[bucket]!;
    if (p === flow) {
      this.#buckets[bucket] = flow.next;
    } else {
      while (p !== null && p.next !== flow) p = p.next;
      if (p !== null) p.next = flow.next;
    }
    this.#size--;
    if (this.#last === flow) this.#last = null;
    this.flows.close(flow);
  }

  /** Entries of `flow_list` in its order: ascending `flowid & 0xffff`, newest first in a bucket. */
  entries(): string[] {
    if (!this.#strict) return this.flows.entries();
    const entries: string[] = [];
    for (const first of this.#buckets) {
      for (let flow = first; flow !== null; flow = flow.next) entries.push(flow.listEntry());
    }
    return entries;
  }

  /** `flow_list`: a comma after each entry; '' when empty. */
  list(): string {
    const entries = this.entries();
    return entries.length === 0 ? '' : `${entries.join(',')},`;
  }

  /** Forgets everything. @param strict `net.inet.siftr.strict`, for the cycle that comes */
  clear(strict = false): void {
    this.#buckets.fill(null);
    this.#strict = strict;
    this.#size = 0;
    this.#last = null;
    this.flows.clear();
  }
}
