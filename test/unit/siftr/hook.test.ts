import { beforeEach, describe, expect, test } from 'vitest';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import type { Clock } from '../../../src/rings/clock.ts';
import { FRAME_SIZE } from '../../../src/rings/link.ts';
import { FramePool, type Mbuf } from '../../../src/rings/mbuf.ts';
import { parseFlowFilter, storeFlowFilter } from '../../../src/siftr/flow-filter.ts';
import { SiftrHook } from '../../../src/siftr/hook.ts';
import {
  createRing,
  KIND_GEN_SHIFT,
  KIND_SAME,
  R_FLOWID,
  R_KIND,
  R_SETTLED,
  RECORD_FIELDS,
  RECORD_WORDS,
  RecordConsumer,
  type RecordField,
} from '../../../src/siftr/record.ts';
import {
  CFG_HOOK,
  CFG_INFLIGHT,
  CFG_PORT_FILTER,
  CFG_PPL_DIR,
  CFG_SLEEPING,
  CFG_STRICT,
  CFG_WAKE,
  createSiftrShared,
} from '../../../src/siftr/shared.ts';
import { FlowKey } from '../../../src/stack/flow.ts';
import { PFIL_PASS, Pfil } from '../../../src/stack/net/pfil.ts';
import { RouteCache } from '../../../src/stack/net/route.ts';
import { SockBuf } from '../../../src/stack/socket/sockbuf.ts';
import type { Stack } from '../../../src/stack/stack.ts';
import { Inpcb, TcbTable } from '../../../src/stack/tcp/tcb.ts';
import type { Tcp } from '../../../src/stack/tcp/tcp.ts';
import {
  TA_INPUT,
  TA_INPUT_DONE,
  TA_OUTPUT,
  TA_OUTPUT_CALL,
  TA_OUTPUT_DONE,
} from '../../../src/stack/tcp/tcp-trace.ts';
import { TCP_RTT_SHIFT, type Tcpcb } from '../../../src/stack/tcp/tcpcb.ts';
import { v4 } from './records.ts';

const LOCAL = v4('192.0.2.1');
const PEER = v4('192.0.2.2');
const RECORDS = 8;

class TestClock implements Clock {
  us = 0;
  ms = 0;
  wall = 1_700_000_000_000_000;

  wallUs(): number {
    return this.wall;
  }

  /** A reading of the clock `us` after the start. */
  at(us: number): void {
    this.wall = 1_700_000_000_000_000 + us;
    this.us = us | 0;
  }
}

function setUp() {
  const clock = new TestClock();
  const pool = new FramePool(new ArrayBuffer(4 * FRAME_SIZE), 0, 4);
  const cnt = new Float64Array(COUNTER_SLOTS);
  const pfil = new Pfil();
  let seed = 1;
  const tcb = new TcbTable({ next32: () => seed++ });
  // The parts of a stack that the hook uses.
  const tcp: Pick<Tcp, 'tcb' | 'tracers' | 'trace' | 'tap'> = { tcb, tracers: [], trace: null, tap: null };
  const st = { clock, pool, cnt, pfil, tcp } as unknown as Stack;
  const cfg = createSiftrShared();
  const buf = createRing(RECORDS);
  const hook = new SiftrHook(st, buf, cfg);
  const ring = new RecordConsumer(buf);

  const connection = (state: number, fport = 40000, over: Partial<Tcpcb> = {}): Inpcb => {
    const inp = new Inpcb(new RouteCache());
    const key = new FlowKey();
    key.setV4(LOCAL, 5201, PEER, fport);
    tcb.insert(inp, key);
    inp.inp_flowid = 0x9000_0001 | 0;
    inp.inp_flowtype = 130;
    inp.inp_gencnt = tcb.count - 1;
    inp.tp = {
      t_state: state,
      t_flags: 0x3e1,
      t_flags2: 2,
      snd_una: -100,
      snd_max: 500,
      snd_wnd: 65160,
      snd_scale: 7,
      snd_cwnd: 14480,
      snd_ssthresh: 1073725440,
      rcv_wnd: 65700,
      rcv_scale: 9,
      t_maxseg: 1460,
      t_srtt: 1234 << TCP_RTT_SHIFT,
      t_rxtcur: 230000,
      t_segqlen: 3,
      ...over,
    } as Tcpcb;
    const so_snd = new SockBuf(33580);
    const so_rcv = new SockBuf(65700);
    so_snd.append(new Uint8Array(11), 0, 11);
    so_rcv.append(new Uint8Array(22), 0, 22);
    inp.inp_socket = { so_snd, so_rcv } as unknown as Inpcb['inp_socket'];
    return inp;
  };

  /** An IPv4 packet: header of 20 bytes and `rest` bytes, of which the first four are ports. */
  const packet = (src: number, sport: number, dst: number, dport: number, proto = 6, rest = 20): Mbuf => {
    const m = pool.get()!;
    m.len = 20 + rest;
    pool.u8.fill(0, m.pos, m.pos + 64);
    pool.dv.setUint8(m.pos, 0x45);
    pool.dv.setUint8(m.pos + 9, proto);
    pool.dv.setInt32(m.pos + 12, src);
    pool.dv.setInt32(m.pos + 16, dst);
    pool.dv.setUint16(m.pos + 20, sport);
    pool.dv.setUint16(m.pos + 22, dport);
    m.l3 = m.pos;
    m.time = clock.us;
    return m;
  };
  const run = (m: Mbuf, dir: 'in' | 'out', inp: Inpcb | null = null): void => {
    const ctx = dir === 'in' ? pfil.inet.ctxIn : pfil.inet.ctxOut;
    ctx.inp = inp;
    const chain = dir === 'in' ? pfil.inet.in : pfil.inet.out;
    expect(chain).not.toBeNull();
    for (const link of chain!) expect(link.hook.mbuf(m, ctx)).toBe(PFIL_PASS);
    pool.put(m);
  };
  const input = (fport = 40000): void => run(packet(PEER, fport, LOCAL, 5201), 'in');
  const output = (inp: Inpcb | null, fport = 40000): void => run(packet(LOCAL, 5201, PEER, fport), 'out', inp);

  const halves = new Map<string, Uint32Array>();
  /** All records, as values by name; those without a second half with that of their connection's record before. */
  const records = (): Record<RecordField, number>[] => {
    const out: Record<RecordField, number>[] = [];
    hook.publish();
    ring.refresh();
    for (let r = ring.peek(); r >= 0; r = ring.peek()) {
      const rec = ring.words.slice(r, r + RECORD_WORDS);
      const key = `${rec[R_FLOWID]} ${rec[R_KIND]! >>> KIND_GEN_SHIFT}`;
      if ((rec[R_KIND]! & KIND_SAME) === 0) halves.set(key, rec.slice(R_SETTLED));
      else rec.set(halves.get(key)!, R_SETTLED);
      out.push(Object.fromEntries(RECORD_FIELDS.map((f, i) => [f, rec[i]!])) as Record<RecordField, number>);
      ring.advance();
    }
    ring.release();
    return out;
  };
  /** Counters that are not 0, by name; histograms are none. */
  const counted = (): Record<string, number> =>
    Object.fromEntries(
      Object.entries(siftrs).flatMap(([name, slot]) => (cnt[slot] && !/age$/.test(name) ? [[name, cnt[slot]]] : [])),
    );

  return { st, clock, pool, cnt, pfil, cfg, hook, connection, packet, run, input, output, records, counted };
}

let t: ReturnType<typeof setUp>;
beforeEach(() => {
  t = setUp();
  t.hook.hook(t.clock.wall);
});

describe('linking', () => {
  test('hooks both directions of the inet head under the name siftr:default, and takes both off again', () => {
    expect(t.pfil.inet.in?.map((l) => `${l.hook.mod}:${l.hook.rul}`)).toEqual(['siftr:default']);
    expect(t.pfil.inet.out).toHaveLength(1);
    t.hook.hook(0);
    expect(t.pfil.inet.in).toHaveLength(1);
    t.hook.unhook();
    t.hook.unhook();
    expect(t.pfil.inet.in).toBeNull();
    expect(t.pfil.inet.out).toBeNull();
    expect(t.pfil.hooks).toEqual([]);
  });
});

describe('the decision sequence (spec/siftr.md section 5.2)', () => {
  test('step 1: a packet that is not TCP is not counted', () => {
    t.run(t.packet(PEER, 1, LOCAL, 2, 17), 'in');
    expect(t.counted()).toEqual({});
  });

  test('step 2: with a port filter only packets with that source or destination port are counted (section 13 rule 10 f)', () => {
    const inp = t.connection(4);
    t.cfg[CFG_PORT_FILTER] = 5201;
    t.input();
    t.output(inp);
    t.cfg[CFG_PORT_FILTER] = 40000;
    t.input();
    t.cfg[CFG_PORT_FILTER] = 80;
    t.input();
    t.output(inp);
    expect(t.counted()).toEqual({ siftrs_n_in: 2, siftrs_n_out: 1, siftrs_filtered_in: 1, siftrs_filtered_out: 1 });
    expect(t.records()).toHaveLength(3);
  });

  test('step 3: a packet seen before is left alone and counted apart from all others', () => {
    t.connection(4);
    const m = t.packet(PEER, 40000, LOCAL, 5201);
    t.hook.mbuf(m, t.pfil.inet.ctxIn);
    t.hook.mbuf(m, t.pfil.inet.ctxOut);
    expect(t.counted()).toEqual({ siftrs_n_in: 1, siftrs_dejavu: 1 });
  });

  test('step 6: a packet without a connection is skipped_inpcb, by direction', () => {
    t.input(1);
    t.output(null, 1);
    t.output(null, 2);
    expect(t.counted()).toEqual({
      siftrs_n_in: 1,
      siftrs_n_out: 2,
      siftrs_nskip_in_inpcb: 1,
      siftrs_nskip_out_inpcb: 2,
    });
  });

  test('step 6: outbound without a connection handed over, the exact tuple is looked up', () => {
    t.connection(4);
    t.output(null);
    expect(t.records().map((r) => r.kind & 1)).toEqual([1]);
  });

  test('step 7: a state before ESTABLISHED, or no control block, is skipped_tcpcb', () => {
    t.connection(2, 2);
    t.connection(3, 3);
    const gone = t.connection(4, 4);
    gone.tp = null;
    t.input(2);
    t.input(3);
    t.input(4);
    t.output(t.connection(0, 5), 5);
    expect(t.counted()).toEqual({
      siftrs_n_in: 3,
      siftrs_n_out: 1,
      siftrs_nskip_in_tcpcb: 3,
      siftrs_nskip_out_tcpcb: 1,
    });
  });

  test('step 7: every state from ESTABLISHED to TIME_WAIT is logged', () => {
    for (let state = 4; state <= 10; state++) {
      t.connection(state, state);
      t.input(state);
    }
    expect(t.records().map((r) => r.state)).toEqual([4, 5, 6, 7, 8, 9, 10]);
  });

  test('step 9: a full ring loses the record and counts skipped_malloc of the direction; the packet goes on', () => {
    const inp = t.connection(4);
    for (let i = 0; i < RECORDS + 2; i++) t.input();
    t.output(inp);
    expect(t.counted()).toEqual({
      siftrs_n_in: RECORDS + 2,
      siftrs_n_out: 1,
      siftrs_nskip_in_malloc: 2,
      siftrs_nskip_out_malloc: 1,
      siftrs_queue_drops_in: 2,
      siftrs_queue_drops_out: 1,
      siftrs_queue_high_water: RECORDS,
    });
    expect(t.records()).toHaveLength(RECORDS);
  });

  test('a ring that fills up ends the sleep of the writer', () => {
    t.connection(4);
    t.cfg[CFG_SLEEPING] = 1;
    t.input();
    expect(t.cfg[CFG_WAKE]).toBe(0);
    for (let i = 1; i < RECORDS; i++) t.input();
    expect(t.cfg[CFG_WAKE]).toBe(1);
  });

  test("a record says what the connection's last one said once: addresses, state, scales, segment size, buffer sizes", () => {
    const inp = t.connection(4);
    const other = t.connection(4, 40001);
    const same = (): boolean[] => t.records().map((r) => (r.kind & KIND_SAME) !== 0);
    t.input();
    t.output(inp);
    t.output(other, 40001);
    t.input();
    expect(same()).toEqual([false, true, false, true]);
    inp.tp!.snd_cwnd += 1000;
    t.input();
    inp.tp!.t_maxseg = 1200;
    t.input();
    t.input(40001);
    inp.inp_socket!.so_rcv.sb_hiwat += 1;
    t.input();
    t.input();
    expect(same()).toEqual([true, false, true, false, true]);
    // A packet that found no room has said nothing, and nothing was said in the next cycle yet.
    for (let i = 0; i < RECORDS; i++) t.output(other, 40001);
    inp.tp!.t_maxseg = 1000;
    t.input();
    expect(same().slice(-1)).toEqual([true]);
    t.input();
    expect(t.records()[0]).toMatchObject({ maxseg: 1000 });
    t.hook.unhook();
    t.hook.hook(0);
    t.input();
    t.input();
    expect(same()).toEqual([false, true]);
  });

  test('with strict=1 every record has both halves: flows are told by their flowid alone', () => {
    t.hook.unhook();
    t.cfg[CFG_STRICT] = 1;
    t.hook.hook(0);
    t.connection(4);
    t.input();
    t.input();
    expect(t.records().map((r) => r.kind & KIND_SAME)).toEqual([0, 0]);
  });

  test('a packet too short for a TCP header is counted and skipped, not read beyond its end (section 14 item 11)', () => {
    t.connection(4);
    t.run(t.packet(PEER, 40000, LOCAL, 5201, 6, 3), 'in');
    t.run(t.packet(PEER, 40000, LOCAL, 5201, 6, 19), 'in');
    expect(t.counted()).toEqual({ siftrs_n_in: 2, siftrs_nskip_in_inpcb: 2 });
  });

  test('a fragment is no packet: it is left alone and counted apart, wherever in its datagram it stands (section 14 item 11)', () => {
    t.connection(4);
    const fragment = (off: number): void => {
      const m = t.packet(PEER, 40000, LOCAL, 5201);
      t.pool.dv.setUint16(m.pos + 6, off);
      t.run(m, 'in');
    };
    // More fragments follow; in the middle; the last one. Then a whole packet that must not be fragmented.
    for (const off of [0x2000, 0x2001, 0x0001, 0x4000]) fragment(off);
    expect(t.counted()).toEqual({ siftrs_fragments: 3, siftrs_n_in: 1 });
    expect(t.records()).toHaveLength(1);
  });

  test('with strict=1 a fragment is read as a packet and 4 bytes of TCP are enough, as in siftr(4)', () => {
    t.connection(4);
    t.hook.unhook();
    t.cfg[CFG_STRICT] = 1;
    t.hook.hook(0);
    const m = t.packet(PEER, 40000, LOCAL, 5201, 6, 4);
    t.pool.dv.setUint16(m.pos + 6, 0x0001);
    t.run(m, 'in');
    expect(t.counted()).toEqual({ siftrs_n_in: 1 });
    expect(t.records()).toHaveLength(1);
  });

  test('step 2: what the flow filter does not name is not counted as seen, in either direction (section 14 item 2)', () => {
    const inp = t.connection(4);
    const other = t.connection(4, 40001);
    storeFlowFilter(t.cfg, parseFlowFilter('192.0.2.1;5201-192.0.2.2;40000')!);
    t.input();
    t.input(40001);
    t.output(inp);
    t.output(other, 40001);
    expect(t.counted()).toEqual({ siftrs_n_in: 1, siftrs_n_out: 1, siftrs_filtered_in: 1, siftrs_filtered_out: 1 });
    expect(t.records().map((r) => r.ports & 0xffff)).toEqual([40000, 40000]);
  });

  test('step 2: the flow filter and the port filter hold both; with strict=1 the flow filter does not', () => {
    t.connection(4);
    storeFlowFilter(t.cfg, parseFlowFilter('*;5201-*;*')!);
    t.cfg[CFG_PORT_FILTER] = 40000;
    t.input();
    t.cfg[CFG_PORT_FILTER] = 80;
    t.input();
    storeFlowFilter(t.cfg, parseFlowFilter('*;80-*;*')!);
    t.cfg[CFG_PORT_FILTER] = 40000;
    t.input();
    expect(t.counted()).toEqual({ siftrs_n_in: 1, siftrs_filtered_in: 2 });
    t.hook.unhook();
    t.cfg[CFG_STRICT] = 1;
    t.hook.hook(0);
    t.input();
    expect(t.counted()).toEqual({ siftrs_n_in: 2, siftrs_filtered_in: 2 });
  });

  test('ports are read behind IP options', () => {
    t.connection(4);
    const m = t.packet(PEER, 0, LOCAL, 0, 6, 24);
    t.pool.dv.setUint8(m.pos, 0x46);
    t.pool.dv.setUint16(m.pos + 24, 40000);
    t.pool.dv.setUint16(m.pos + 26, 5201);
    t.run(m, 'in');
    expect(t.records()).toHaveLength(1);
  });
});

describe('the record', () => {
  test('holds what section 3 names, from the control block, the connection and the socket buffers', () => {
    t.connection(4);
    t.clock.at(1_000_029);
    t.input();
    expect(t.records()).toEqual([
      {
        kind: 130 << 8,
        sec: 1_700_000_001,
        usec: 29,
        l0: 0,
        l1: 0,
        l2: 0xffff,
        l3: LOCAL >>> 0,
        f0: 0,
        f1: 0,
        f2: 0xffff,
        f3: PEER >>> 0,
        ports: ((5201 << 16) | 40000) >>> 0,
        flowid: 0x9000_0001,
        ssthresh: 1073725440,
        cwnd: 14480,
        flags2: 2,
        snd_wnd: 65160,
        rcv_wnd: 65700,
        snd_scale: 7,
        rcv_scale: 9,
        state: 4,
        maxseg: 1460,
        srtt: 1234,
        flags: 0x3e1,
        rxtcur: 230000,
        snd_hiwat: 33580,
        snd_cc: 11,
        rcv_hiwat: 65700,
        rcv_cc: 22,
        inflight: 600,
        segqlen: 3,
        nth: 1,
      },
    ]);
  });

  test('numbers the packets of a connection from 1 in each cycle, those that found no room with them (section 14 item 7)', () => {
    const inp = t.connection(4);
    const numbers = (): number[] => t.records().map((r) => r.nth);
    for (let i = 0; i < RECORDS + 3; i++) t.input();
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    t.output(inp);
    t.input();
    expect(numbers()).toEqual([12, 13]);
    t.cfg[CFG_PPL_DIR] = 1;
    t.output(inp);
    t.input();
    expect(t.records().map((r) => [r.kind & 3, r.nth])).toEqual([
      [3, 2],
      [2, 13],
    ]);
    t.cfg[CFG_PPL_DIR] = 0;
    t.hook.unhook();
    t.hook.hook(0);
    t.output(inp);
    expect(numbers()).toEqual([1]);
  });

  test('has RFC 6675 pipe for field 24 where inflight says so, and not with strict=1', () => {
    const inp = t.connection(4);
    Object.assign(inp.tp!, { pipe: 77 });
    const inflight = (): number => {
      t.hook.unhook();
      t.hook.hook(0);
      t.input();
      return t.records()[0]!.inflight;
    };
    expect(inflight()).toBe(600);
    t.cfg[CFG_INFLIGHT] = 1;
    expect(inflight()).toBe(77);
    t.cfg[CFG_STRICT] = 1;
    expect(inflight()).toBe(600);
  });

  test('shows empty buffers when the socket is gone and the control block still there', () => {
    const inp = t.connection(10);
    inp.inp_socket = null;
    t.output(inp);
    expect(t.records()[0]).toMatchObject({ state: 10, snd_hiwat: 0, snd_cc: 0, rcv_hiwat: 0, rcv_cc: 0 });
  });
});

describe('time (spec/siftr.md section 13 rules 1, 6 and 7)', () => {
  const wall = (r: { sec: number; usec: number }): number => r.sec * 1e6 + r.usec;

  test('inbound is the receive stamp of the frame, outbound the clock of the shard', () => {
    const inp = t.connection(4);
    const start = t.clock.wall;
    // The frame came 300 µs before the clock's reading, and the µs clock has wrapped in between.
    t.clock.at(1_000_300);
    t.clock.us = -2147483648 + 100;
    const m = t.packet(PEER, 40000, LOCAL, 5201);
    m.time = 2147483647 - 199;
    t.run(m, 'in');
    t.output(inp);
    expect(t.records().map(wall)).toEqual([start + 1_000_000, start + 1_000_300]);
  });

  test('is never earlier than the enable time', () => {
    t.connection(4);
    const m = t.packet(PEER, 40000, LOCAL, 5201);
    m.time = t.clock.us - 5000;
    t.run(m, 'in');
    expect(t.records().map(wall)).toEqual([t.clock.wall]);
  });

  test('never goes back within a queue', () => {
    const inp = t.connection(4);
    const start = t.clock.wall;
    t.clock.at(900);
    t.output(inp);
    const m = t.packet(PEER, 40000, LOCAL, 5201);
    m.time = t.clock.us - 400;
    t.run(m, 'in');
    t.clock.at(1000);
    t.output(inp);
    expect(t.records().map(wall)).toEqual([start + 900, start + 900, start + 1000]);
  });

  test('crosses the second', () => {
    const inp = t.connection(4);
    for (const us of [1_999_999, 2_000_000, 5_500_000]) {
      t.clock.at(us);
      t.output(inp);
    }
    const m = t.packet(PEER, 40000, LOCAL, 5201);
    t.clock.at(7_000_100);
    m.time = 6_999_900;
    t.run(m, 'in');
    expect(t.records().map((r) => [r.sec, r.usec])).toEqual([
      [1_700_000_001, 999_999],
      [1_700_000_002, 0],
      [1_700_000_005, 500_000],
      [1_700_000_006, 999_900],
    ]);
  });
});

describe('how old things are (docs/siftr.md, "Time")', () => {
  const BOUNDS = Array.from({ length: 21 }, (_, i) => 2 ** i);
  /** Counts by upper bound, µs, those that are not 0; and the sum. */
  const histogram = (slot: number): [Record<string, number>, number] => [
    Object.fromEntries(
      [...BOUNDS, Infinity].flatMap((b, i) => (t.cnt[slot + i] ? [[String(b), t.cnt[slot + i]!]] : [])),
    ),
    t.cnt[slot + BOUNDS.length + 1]!,
  ];

  test('an inbound record counts the age of its frame, the clock less the stamp; one from the future is 0', () => {
    t.connection(4);
    t.clock.at(3_000_000);
    for (const age of [0, 1, 2, 3, 4, 5, 1024, 1025, 1_048_576, 1_048_577, -5]) {
      const m = t.packet(PEER, 40000, LOCAL, 5201);
      m.time = t.clock.us - age;
      t.run(m, 'in');
      t.records();
    }
    expect(histogram(siftrs.siftrs_age)).toEqual([
      { 1: 3, 2: 1, 4: 2, 8: 1, 1024: 1, 2048: 1, 1048576: 1, Infinity: 1 },
      0 + 1 + 2 + 3 + 4 + 5 + 1024 + 1025 + 1_048_576 + 1_048_577,
    ]);
    expect(t.hook.clockUsed).toBe(false);
  });

  test('a batch with outbound records is measured once, at its end', () => {
    const inp = t.connection(4);
    t.output(inp);
    t.output(inp);
    expect(t.hook.clockUsed).toBe(true);
    t.hook.batchEnd(100);
    expect(t.hook.clockUsed).toBe(false);
    expect(histogram(siftrs.siftrs_clock_age)).toEqual([{ 128: 1 }, 100]);
    expect(histogram(siftrs.siftrs_age)).toEqual([{}, 0]);
  });
});

describe('the packet path', () => {
  test.each([
    ['hook=ip', 0],
    ['hook=tcp, inflight=pipe and a flow filter', 1],
  ])('allocates nothing: the heap does not grow over a million packets, %s', (_what, mode) => {
    const inp = t.connection(4);
    Object.assign(inp.tp!, { pipe: 77, t_inpcb: inp });
    const ring = createRing(1024);
    const { st } = t;
    t.hook.unhook();
    t.cfg[CFG_HOOK] = mode;
    t.cfg[CFG_INFLIGHT] = mode;
    if (mode === 1) storeFlowFilter(t.cfg, parseFlowFilter('*;1-*;*,192.0.2.0/24;*-*;*')!);
    const hook = new SiftrHook(st, ring, t.cfg);
    const consumer = new RecordConsumer(ring);
    hook.hook(0);
    const m = t.packet(PEER, 40000, LOCAL, 5201);
    const { ctxIn, ctxOut } = t.pfil.inet;
    ctxIn.inp = null;
    ctxOut.inp = inp;
    const { trace } = st.tcp;
    const tp = inp.tp!;
    const round = (): number => {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 100_000; i++) {
        m.mflags = 0;
        hook.mbuf(m, ctxIn);
        if (trace !== null) {
          // What TCP makes of it, and the answer.
          hook.arrives(m);
          trace(tp, TA_INPUT, 0, 0, 0);
          trace(tp, TA_OUTPUT_CALL, 0, 0, 0);
          trace(tp, TA_OUTPUT, 0, 0, 0);
          m.mflags = 0;
          hook.mbuf(m, ctxOut);
          trace(tp, TA_OUTPUT_DONE, 0, 0, 0);
          trace(tp, TA_INPUT_DONE, 0, 0, 0);
          hook.processed();
        }
        if ((i & 511) === 0) {
          hook.publish();
          consumer.refresh();
          while (consumer.peek() >= 0) consumer.advance();
          consumer.release();
        }
      }
      return process.memoryUsage().heapUsed - before;
    };
    for (let i = 0; i < 5; i++) round();
    expect(t.cnt[siftrs.siftrs_nskip_in_malloc]).toBe(0);
    const growth = Array.from({ length: 5 }, round).sort((a, b) => a - b);
    // One number boxed a packet would be 1.2 MB a round, and more than half of the rounds would show it.
    expect(growth[2]).toBeLessThan(400_000);
  });
});
