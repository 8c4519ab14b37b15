import { DROP_AQM, DROP_LOSS, DROP_OVERFLOW, type DropReason, Pipe, type PipeOutput } from '../impair/pipe.ts';
import { RELEASE_ERROR_US } from '../metrics/decl/dummynet.ts';
import { Histogram } from '../metrics/histogram.ts';
import { dns } from '../metrics/layout.ts';
import type { Mbuf } from '../rings/mbuf.ts';
import { MbufList } from '../rings/mbuf-list.ts';
import { ipInputResume } from '../stack/net/ip-input.ts';
import { ipOutputResume } from '../stack/net/ip-output.ts';
import { PFIL_CONSUMED, PFIL_PASS, type PfilCtx, type PfilHook, type Verdict } from '../stack/net/pfil.ts';
import type { Stack } from '../stack/stack.ts';
import { Timer } from '../stack/timers.ts';
import { type PipeSpec, pipeConfig } from './config.ts';
import { copyPacket, ecnCapable, flipBit, markCe } from './packet.ts';
import { Rule, type RuleSpec } from './rule.ts';

/** `m.th_flags` of a packet in a pipe: the way it goes on. `m.seglen` is the index of its interface. */
const WAY_IN = 1;
const WAY_OUT = 2;

/** The shard's int32 clock is extended to Float64 at least this often, µs: half of what would be ambiguous. */
const EXTEND_US = 0x20000000;

/** A receive stamp may be later than the clock of its pass by less than this, µs; one beyond is no stamp of the frame. */
const STAMP_AHEAD_US = 10_000;

/** What a pipe of a shard has done, for `show`. */
export interface PipeReport {
  readonly number: number;
  /** Packets and bytes that were offered to it. */
  readonly packets: number;
  readonly bytes: number;
  /** What waits for its server now. */
  readonly queuePackets: number;
  readonly queueBytes: number;
  readonly drops: number;
}

/** What a rule of a shard has caught. */
export interface RuleReport {
  readonly number: number;
  readonly packets: number;
  readonly bytes: number;
}

/** The answer of a shard. */
export interface DummynetReport {
  readonly pipes: readonly PipeReport[];
  readonly rules: readonly RuleReport[];
}

/** A pipe of one shard. */
class ShardPipe implements PipeOutput<Mbuf> {
  readonly number: number;
  readonly pipe: Pipe<Mbuf>;
  readonly timer: Timer;
  /** When `timer` fires, in the time of the pipe; -1 while it is not armed. */
  armed: number;
  /** Dropped by the pipe, or before it because too much was held. */
  drops: number;
  reordered: number;
  readonly #dn: Dummynet;

  constructor(dn: Dummynet, number: number, spec: PipeSpec) {
    this.number = number;
    this.timer = new Timer(() => dn.release(this), null);
    this.armed = -1;
    this.drops = 0;
    this.reordered = 0;
    this.#dn = dn;
    this.pipe = new Pipe<Mbuf>(pipeConfig(spec), dn.stack.random, this);
  }

  deliver(m: Mbuf): void {
    this.#dn.delivered(m);
  }

  drop(m: Mbuf, why: DropReason): void {
    this.drops++;
    this.#dn.dropped(m, why);
  }

  mark(m: Mbuf): void {
    this.#dn.marked(m);
  }

  duplicate(m: Mbuf): Mbuf | null {
    return this.#dn.duplicated(m);
  }

  corrupt(m: Mbuf, random: number): void {
    this.#dn.corrupted(m, random);
  }
}

/**
 * Dummynet on one shard: a pfil hook on inet, in and out, that sends packets to pipes by rules and gives them back to the stack when they
 * come out, behind itself: no packet meets a pipe or another hook twice. It is linked while there is a pipe, nearest the wire, so that
 * SIFTR sees what TCP sends when it is sent and what TCP gets when it gets it.
 */
export class Dummynet implements PfilHook {
  readonly mod = 'dummynet';
  readonly rul = 'default';
  readonly type = 'inet';
  readonly flags = 0;
  readonly stack: Stack;
  readonly #cnt: Float64Array;
  readonly #errors: Histogram;
  readonly #actual: () => number;
  readonly #pipes: Map<number, ShardPipe>;
  /** The same, for the packet path. */
  #list: readonly ShardPipe[];
  #rules: readonly Rule[];
  /** Pipe of each rule. */
  #targets: readonly ShardPipe[];
  #linked: boolean;
  /** Packets that came out and are yet to go on: empty but during `#dispatch`. */
  readonly #ready: MbufList;
  /** Packets in pipes and in `#ready`, and how many there may be. */
  #held: number;
  readonly #limit: number;
  /** The clock extended: `#now` is the time of its reading `#us`. */
  #us: number;
  #now: number;
  readonly #extend: Timer;
  /** How late the packets of the present step are, µs; -1 outside of one. */
  #late: number;

  /**
   * @param actual reads the machine's clock as `clock.us` counts, for the release error; the clock of the stack where there is no other
   */
  constructor(st: Stack, actual: () => number = () => st.clock.us) {
    this.stack = st;
    this.#cnt = st.cnt;
    this.#errors = new Histogram(st.cnt, dns.dn_release_error, RELEASE_ERROR_US);
    this.#actual = actual;
    this.#pipes = new Map();
    this.#list = [];
    this.#rules = [];
    this.#targets = [];
    this.#linked = false;
    this.#ready = new MbufList();
    this.#held = 0;
    this.#limit = st.pool.count >>> 1;
    this.#us = st.clock.us;
    this.#now = 0;
    this.#extend = new Timer(() => this.#keepTime(), null);
    this.#late = -1;
  }

  /** Makes a pipe or gives the one of that number another configuration; packets in it stay. */
  configure(number: number, spec: PipeSpec): void {
    const known = this.#pipes.get(number);
    if (known !== undefined) {
      known.pipe.reconfigure(pipeConfig(spec), this.#time(this.stack.clock.us));
      this.#arm(known);
      return;
    }
    const p = new ShardPipe(this, number, spec);
    if (this.#pipes.size === 0) {
      this.#now += 1;
      this.#us = this.stack.clock.us;
      this.#keepTime();
    }
    this.#pipes.set(number, p);
    this.#list = [...this.#pipes.values()];
    if (!this.#linked) this.#link();
  }

  /** Replaces the rules. Each names a pipe that exists; counts of those that stay go on. */
  setRules(rules: readonly RuleSpec[]): void {
    const before = new Map(this.#rules.map((r) => [r.spec.number, r]));
    this.#rules = rules.map((spec) => {
      const old = before.get(spec.number);
      return old !== undefined && JSON.stringify(old.spec) === JSON.stringify(spec) ? old : new Rule(spec);
    });
    this.#targets = this.#rules.map((r) => this.#pipes.get(r.spec.pipe)!);
  }

  /** Deletes a pipe with its rules; the packets in it are dropped and counted. */
  remove(number: number): void {
    const p = this.#pipes.get(number);
    if (p === undefined) return;
    this.#rules = this.#rules.filter((r) => r.spec.pipe !== number);
    this.#targets = this.#rules.map((r) => this.#pipes.get(r.spec.pipe)!);
    this.#pipes.delete(number);
    this.#list = [...this.#pipes.values()];
    this.stack.wheel.cancel(p.timer);
    p.pipe.purge(this.#time(this.stack.clock.us));
    if (this.#pipes.size === 0) this.#unlink();
  }

  /** Deletes every pipe and rule; the packets in them are dropped and counted. */
  flush(): void {
    for (const number of [...this.#pipes.keys()]) this.remove(number);
  }

  /** Takes its place nearest the wire again, after another hook was linked there. */
  relink(): void {
    if (!this.#linked) return;
    this.#unlink();
    this.#link();
  }

  report(): DummynetReport {
    return {
      pipes: this.#list.map((p) => ({
        number: p.number,
        packets: p.pipe.stats.offered,
        bytes: p.pipe.stats.offeredBytes,
        queuePackets: p.pipe.queuePackets,
        queueBytes: p.pipe.queueBytes,
        drops: p.drops,
      })),
      rules: this.#rules.map((r) => ({ number: r.spec.number, packets: r.packets, bytes: r.bytes })),
    };
  }

  /** µs from `clock.us` until a pipe has something to do, 0 when it is due, -1 while none has. For the loop's sleep. */
  untilRelease(): number {
    const list = this.#list;
    let due = Number.POSITIVE_INFINITY;
    for (let i = 0; i < list.length; i++) {
      const { armed } = list[i]!;
      if (armed >= 0 && armed < due) due = armed;
    }
    if (due === Number.POSITIVE_INFINITY) return -1;
    const us = due - this.#now + ((this.#us - this.stack.clock.us) | 0);
    return us < 0 ? 0 : us;
  }

  mbuf(m: Mbuf, c: PfilCtx): Verdict {
    const out = c.dir === 'out';
    const v = this.stack.pool.dv;
    const rules = this.#rules;
    // The clock of a pass is read before its frames are taken: one may have come after that, and what it causes comes later still.
    const ahead = out ? 0 : (m.time - c.now) | 0;
    const now = this.#time(ahead > 0 && ahead < STAMP_AHEAD_US ? m.time : c.now);
    let i = 0;
    while (i < rules.length && !rules[i]!.fits(v, m, out)) i++;
    if (i === rules.length) return PFIL_PASS;
    const rule = rules[i]!;
    rule.packets++;
    rule.bytes += m.len;
    const cnt = this.#cnt;
    cnt[out ? dns.dn_io_out : dns.dn_io_in]!++;
    const p = this.#targets[i]!;
    if (this.#held >= this.#limit) {
      cnt[dns.dn_drop_nobufs]!++;
      p.drops++;
      m.pool.put(m);
      return PFIL_CONSUMED;
    }
    m.th_flags = out ? WAY_OUT : WAY_IN;
    m.seglen = c.ifp.index;
    this.#hold(1);
    const ready = this.#ready;
    p.pipe.offer(m, m.len, ecnCapable(v, m.pos), now);
    // What else is due is the timer's.
    if (p.pipe.inside === 1 && p.pipe.nextDue() <= now) this.#advance(p, now);
    if (ready.len === 1 && ready.head === m) {
      // Through at once, and nothing before it: it stays in the hands of who brought it. (Else `#dispatch` is at work, and takes it along.)
      ready.dequeue();
      this.#hold(-1);
      cnt[out ? dns.dn_passed_out : dns.dn_passed_in]!++;
      this.#arm(p);
      return PFIL_PASS;
    }
    this.#arm(p);
    return PFIL_CONSUMED;
  }

  /** The timer of a pipe: what is due comes out, each at its own time as the pipe sees it. */
  release(p: ShardPipe): void {
    p.armed = -1;
    const now = this.#time(this.#actual());
    for (let due = p.pipe.nextDue(); due <= now; due = p.pipe.nextDue()) {
      this.#late = now - due;
      this.#advance(p, due);
    }
    this.#late = -1;
    this.#arm(p);
    this.#dispatch();
  }

  /** The answers to a pipe. */
  delivered(m: Mbuf): void {
    if (this.#late >= 0) this.#errors.observe(this.#late);
    this.#ready.enqueue(m);
  }

  dropped(m: Mbuf, why: DropReason): void {
    this.#cnt[
      why === DROP_LOSS
        ? dns.dn_drop_loss
        : why === DROP_OVERFLOW
          ? dns.dn_drop_overflow
          : why === DROP_AQM
            ? dns.dn_drop_aqm
            : dns.dn_drop_purge
    ]!++;
    this.#free(m);
  }

  marked(m: Mbuf): void {
    this.#cnt[dns.dn_marked]!++;
    markCe(this.stack.pool.dv, m.pos);
  }

  duplicated(m: Mbuf): Mbuf | null {
    const copy = this.#held < this.#limit ? copyPacket(this.stack.pool, m) : null;
    if (copy === null) {
      this.#cnt[dns.dn_dup_nobufs]!++;
      return null;
    }
    this.#cnt[dns.dn_duplicated]!++;
    this.#hold(1);
    return copy;
  }

  corrupted(m: Mbuf, random: number): void {
    if (flipBit(this.stack, m, random)) this.#cnt[dns.dn_corrupted]!++;
  }

  #advance(p: ShardPipe, now: number): void {
    p.pipe.advance(now);
    const { reordered } = p.pipe.stats;
    if (reordered === p.reordered) return;
    this.#cnt[dns.dn_reordered]! += reordered - p.reordered;
    p.reordered = reordered;
  }

  /** What came out goes on, in order. A pipe may get packets meanwhile; what comes out of it then follows here. */
  #dispatch(): void {
    const st = this.stack;
    const cnt = this.#cnt;
    for (let m = this.#ready.dequeue(); m !== null; m = this.#ready.dequeue()) {
      this.#hold(-1);
      const ifp = st.ifnets[m.seglen]!;
      if (m.th_flags === WAY_OUT) {
        cnt[dns.dn_passed_out]!++;
        ipOutputResume(st, ifp, m, this);
      } else {
        cnt[dns.dn_passed_in]!++;
        // For the stack it arrives now.
        m.time = st.clock.us;
        ipInputResume(st, ifp, m, this);
      }
    }
  }

  /** Has the pipe's timer fire when there is next something to do. */
  #arm(p: ShardPipe): void {
    const due = p.pipe.nextDue();
    if (due === p.armed) return;
    const { wheel, clock } = this.stack;
    if (due === Number.POSITIVE_INFINITY) {
      p.armed = -1;
      wheel.cancel(p.timer);
      return;
    }
    p.armed = due;
    wheel.arm(p.timer, Math.ceil(due - this.#now) + ((this.#us - clock.us) | 0));
  }

  #hold(n: number): void {
    this.#held += n;
    this.#cnt[dns.dn_held] = this.#held;
  }

  #free(m: Mbuf): void {
    this.#hold(-1);
    m.pool.put(m);
  }

  /** The time of a clock reading, Float64 µs; never before that of an earlier call. */
  #time(us: number): number {
    const d = (us - this.#us) | 0;
    if (d > 0) {
      this.#now += d;
      this.#us = us;
    }
    return this.#now;
  }

  #keepTime(): void {
    this.#time(this.stack.clock.us);
    this.stack.wheel.arm(this.#extend, EXTEND_US);
  }

  #link(): void {
    const { pfil } = this.stack;
    pfil.addHook(this);
    pfil.link(pfil.inet, this, { in: true, out: true });
    this.#linked = true;
  }

  #unlink(): void {
    this.stack.pfil.removeHook(this);
    this.#linked = false;
    if (this.#pipes.size === 0) this.stack.wheel.cancel(this.#extend);
  }
}
