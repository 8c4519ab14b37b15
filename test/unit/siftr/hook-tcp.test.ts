import { describe, expect, test } from 'vitest';
import { siftrs } from '../../../src/metrics/layout.ts';
import { seqGt } from '../../../src/stack/tcp/seq.ts';
import { TF_ACKNOW, TF_DELACK, TF_SENTFIN } from '../../../src/stack/tcp/tcpcb.ts';
import { ScriptedPeer } from '../../lab/segments.ts';
import { open, pattern, type Recorder, serve } from '../../lab/tcpuser.ts';
import { ADDR_A, ADDR_B, TwoStacks } from '../../lab/twostacks.ts';
import { type Row, Watch } from './watch.ts';

const SECOND = 1_000_000;
const TCP = { hook: 'tcp' };

/** A segment as the wire has it: read here, byte by byte, with nothing of src/. */
interface Segment {
  dir: 'i' | 'o';
  flags: string;
  seq: number;
  ack: number;
  win: number;
  /** Numbers that it takes: payload, SYN, FIN. */
  space: number;
  wscale: number;
  /** Bytes that its SACK blocks name. */
  sacked: number;
}

function segment(frame: Uint8Array, dir: 'i' | 'o'): Segment {
  const v = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const th = 14 + (v.getUint8(14) & 15) * 4;
  const end = 14 + v.getUint16(16);
  const data = th + (v.getUint8(th + 12) >> 4) * 4;
  const bits = v.getUint8(th + 13);
  const flags = ['F', 'S', 'R', 'P', 'A'].filter((_, i) => (bits & (1 << i)) !== 0).join('');
  let wscale = 0;
  let sacked = 0;
  for (let o = th + 20; o < data; ) {
    const kind = v.getUint8(o);
    if (kind === 0) break;
    if (kind === 1) {
      o++;
      continue;
    }
    const len = v.getUint8(o + 1);
    if (kind === 3) wscale = v.getUint8(o + 2);
    for (let b = o + 2; kind === 5 && b < o + len; b += 8) sacked += (v.getInt32(b + 4) - v.getInt32(b)) | 0;
    o += len;
  }
  const space = end - data + (flags.includes('S') ? 1 : 0) + (flags.includes('F') ? 1 : 0);
  return {
    dir,
    flags,
    seq: v.getInt32(th + 4),
    ack: v.getInt32(th + 8),
    win: v.getUint16(th + 14),
    space,
    wscale,
    sacked,
  };
}

/** Two stacks, SIFTR on both, and every segment that each of them sent or got, in the order of each direction. */
function setUp(o: { seed?: number; lose?: (toSide: 0 | 1, index: number) => boolean; knobs?: object } = {}) {
  const net = new TwoStacks({ seed: o.seed ?? 1 });
  const knobs = { ...TCP, ...o.knobs };
  const client = new Watch(net.a, knobs);
  const server = new Watch(net.b, knobs);
  const wire: [Segment[], Segment[]] = [[], []];
  net.filter = (frame, to, index) => {
    const from = to === 0 ? 1 : 0;
    wire[from].push(segment(frame, 'o'));
    if (o.lose?.(to, index)) return [];
    wire[to].push(segment(frame, 'i'));
    return [0];
  };
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  return { net, client, server, wire, accepted };
}

function connected(o: Parameters<typeof setUp>[0] = {}) {
  const t = setUp(o);
  const user = open(t.net.a, ADDR_B, 80);
  t.net.run(SECOND, () => user.has('connected') && t.accepted.length === 1);
  t.net.run(SECOND / 2);
  return { ...t, user, peer: t.accepted[0]! };
}

/**
 * What a log with hook=tcp must show of one connection, worked out from the segments alone: with each line comes the next segment of its
 * direction, and the fields are those of after it.
 */
function follow(rows: readonly Row[], segments: readonly Segment[], skip: { i: number; o: number }): void {
  const queue = { i: segments.filter((s) => s.dir === 'i'), o: segments.filter((s) => s.dir === 'o') };
  let max = 0;
  let una = 0;
  let known = false;
  let scale = 0;
  const apply = (s: Segment): void => {
    if (s.flags.includes('S')) scale = s.dir === 'i' ? s.wscale : scale;
    if (s.dir === 'o') {
      const end = (s.seq + s.space) | 0;
      if (!known) una = s.seq;
      if (!known || seqGt(end, max)) max = end;
      known = true;
    } else if (s.flags.includes('A') && known && seqGt(s.ack, una)) {
      una = s.ack;
    }
  };
  // The handshake's segments that are counted and have no line. A SYN goes before its answer.
  for (const dir of ['o', 'i', 'o'] as const) {
    if (skip[dir]-- > 0) apply(queue[dir].shift()!);
  }
  rows.forEach((row, k) => {
    const s = queue[row.dir as 'i' | 'o'].shift();
    expect(s, `line ${k} has a segment`).toBeDefined();
    apply(s!);
    const where = `line ${k}: ${row.dir} ${s!.flags} seq ${s!.seq} ack ${s!.ack} space ${s!.space}`;
    expect(row.inflight, where).toBe((max - una) | 0);
    if (row.dir === 'o') {
      expect(row.flags & (TF_ACKNOW | TF_DELACK), where).toBe(0);
      if (s!.flags.includes('F')) expect(row.flags & TF_SENTFIN, where).toBe(TF_SENTFIN);
    } else if (s!.ack === una && !s!.flags.includes('S') && row.state !== 8 && row.state !== 10) {
      // A segment that ends the connection goes no further than its acknowledgment.
      expect(row.sndWnd, where).toBe(s!.win * 2 ** scale);
    }
  });
  expect(queue).toEqual({ i: [], o: [] });
}

describe('hook=tcp (spec/siftr.md section 14 item 5)', () => {
  test('an active open: the SYN is skipped_tcpcb; the SYN-ACK that makes the connection is logged, then its ACK', () => {
    const t = connected();
    expect(t.client.steps).toEqual(['i 4', 'o 4']);
    expect(t.client.counted).toEqual({ n_in: 1, n_out: 2, nskip_out_tcpcb: 1 });
    const [synAck, ack] = t.client.rows;
    // The SYN is acknowledged; the ACK is owed, and then sent.
    expect(synAck!.inflight).toBe(0);
    expect(synAck!.flags & TF_ACKNOW).toBe(TF_ACKNOW);
    expect(ack!.flags & TF_ACKNOW).toBe(0);
  });

  test('a passive open: SYN and SYN-ACK are skipped_inpcb; the ACK that makes the connection is logged', () => {
    const t = connected();
    expect(t.server.steps).toEqual(['i 4']);
    expect(t.server.counted).toEqual({ n_in: 2, n_out: 1, nskip_in_inpcb: 1, nskip_out_inpcb: 1 });
  });

  test('an outbound line counts its segment in flight, and the line of the ACK no longer', () => {
    const t = connected();
    const before = t.client.rows.length;
    t.user.sendAll(pattern(1000), false);
    t.net.run(SECOND);
    const [data, ack] = t.client.rows.slice(before);
    expect(data).toMatchObject({ dir: 'o', inflight: 1000, sndCc: 1000 });
    expect(ack).toMatchObject({ dir: 'i', inflight: 0, sndCc: 0 });
  });

  test('FIN: SENTFIN is set and the FIN in flight; states are those of after the segment, the last one of a block its last', () => {
    const t = connected();
    const c0 = t.client.rows.length;
    const s0 = t.server.rows.length;
    t.user.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND / 4);
    t.peer.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND);
    // FIN out, ACK in (now FIN_WAIT_2), FIN in (now TIME_WAIT), ACK out.
    expect(t.client.steps.slice(c0)).toEqual(['o 6', 'i 9', 'i 10', 'o 10']);
    expect(t.client.rows[c0]).toMatchObject({ inflight: 1 });
    expect(t.client.rows[c0]!.flags & TF_SENTFIN).toBe(TF_SENTFIN);
    // FIN in (now CLOSE_WAIT), ACK out, FIN out; the ACK that frees the block is seen in LAST_ACK, not in CLOSED.
    expect(t.server.steps.slice(s0)).toEqual(['i 5', 'o 5', 'o 8', 'i 8']);
  });

  test('a reset, in or out, is logged with the last state and not with CLOSED', () => {
    const t = connected();
    const c0 = t.client.rows.length;
    t.user.so!.abort();
    t.net.run(SECOND / 4);
    expect(t.client.steps.slice(c0)).toEqual(['o 4']);
    expect(t.server.steps.at(-1)).toBe('i 4');
    expect(t.client.expected).toBe(t.client.rows.length);
    expect(t.server.expected).toBe(t.server.rows.length);
  });

  test('a connection reset before it was established is skipped_tcpcb', () => {
    const t = setUp();
    open(t.net.a, ADDR_B, 81);
    t.net.run(SECOND);
    expect(t.server.counted).toEqual({ n_in: 1, n_out: 1, nskip_in_inpcb: 1, nskip_out_inpcb: 1 });
    expect(t.client.counted).toEqual({ n_in: 1, n_out: 1, nskip_in_tcpcb: 1, nskip_out_tcpcb: 1 });
  });

  test('a simultaneous open is skipped_tcpcb until the segment that establishes it, which is logged', () => {
    const net = new TwoStacks();
    const watch = new Watch(net.a, TCP);
    const a = open(net.a, ADDR_B, 4000, 5000);
    const b = open(net.b, ADDR_A, 5000, 4000);
    net.run(5 * SECOND, () => a.has('connected') && b.has('connected'));
    expect(watch.counted).toMatchObject({ n_in: 2, nskip_in_tcpcb: 1, n_out: 2, nskip_out_tcpcb: 2 });
    expect(watch.steps).toEqual(['i 4']);
  });

  test('a segment with a wrong checksum is seen and skipped_inpcb; the one that comes again is logged', () => {
    const t = connected();
    const s0 = t.server.rows.length;
    let spoilt = 0;
    t.net.filter = (frame, to) => {
      // Ethernet 14, IP 20, TCP 20 and 12 of options: payload, first segment only.
      if (to === 1 && frame.length > 66 && spoilt++ === 0) frame[66]! ^= 0xff;
      return [0];
    };
    t.user.sendAll(pattern(100), false);
    t.net.run(SECOND);
    expect(spoilt).toBeGreaterThan(1);
    expect(t.server.counted['nskip_in_inpcb']).toBe(2);
    expect(t.server.steps.slice(s0).filter((s) => s === 'i 4')).toHaveLength(1);
  });

  test('the line of a segment comes before those of all that it makes this host send, the answers of the application with them', () => {
    const t = connected();
    const s0 = t.server.rows.length;
    const { so } = t.peer;
    // From within the delivery of the data: half an answer on the same connection.
    t.peer.data = (_so, _u8, _off, len) => {
      so!.send(pattern(50), 0, 50);
      return len;
    };
    t.user.sendAll(pattern(100), false);
    t.net.run(SECOND);
    const rows = t.server.rows.slice(s0);
    expect(rows.slice(0, 2).map((r) => [r.dir, r.inflight])).toEqual([
      ['i', 0],
      ['o', 50],
    ]);
    expect(rows[0]!.us).toBe(rows[1]!.us);
  });

  test('in TIME_WAIT too a segment is logged, and before the ACK that answers it', () => {
    const t = connected();
    t.user.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND / 4);
    let lost = 0;
    t.net.filter = (_frame, to) => (to === 1 && lost++ === 0 ? [] : [0]);
    t.peer.sendAll(new Uint8Array(0), true);
    t.net.run(3 * SECOND);
    expect(t.client.steps.slice(-2)).toEqual(['i 10', 'o 10']);
    expect(t.client.expected).toBe(t.client.rows.length);
  });

  test('a SYN that takes the place of a connection in TIME_WAIT shows that one before it is freed', () => {
    const p = new ScriptedPeer({}).listen();
    const watch = new Watch(p.host, TCP);
    p.send({ flags: 'S', mss: 1460 });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.accepted[0]!.so!.shutdown();
    p.host.pass();
    p.out();
    p.send({ flags: 'FA', seq: 1, ack: 2 });
    p.out();
    p.send({ flags: 'S', seq: 5000, mss: 1460 });
    expect(p.out().map((s) => s.flags)).toEqual(['SA']);
    // ACK in, FIN out, FIN in, ACK out, SYN in; its SYN-ACK has no connection.
    expect(watch.steps).toEqual(['i 4', 'o 6', 'i 10', 'o 10', 'i 10']);
    expect(watch.counted).toMatchObject({ nskip_in_inpcb: 1, nskip_out_inpcb: 2 });
    expect(watch.expected).toBe(watch.rows.length);
  });

  test('what IP drops never gets to TCP: skipped_inpcb, at the latest when the cycle ends', () => {
    const p = new ScriptedPeer({}).listen();
    const watch = new Watch(p.host, TCP);
    p.send({ flags: 'S', mss: 1460, dst: '192.0.2.77' });
    p.out();
    expect(watch.counted).toEqual({ n_in: 1 });
    watch.hook.unhook();
    expect(watch.counted).toEqual({ n_in: 1, nskip_in_inpcb: 1 });
  });

  test('a packet that one cycle has counted and the next one sees processed is of neither twice', () => {
    const p = new ScriptedPeer({}).listen();
    const watch = new Watch(p.host, TCP);
    const { tcp } = p.host.st;
    // Held between IP and TCP, as by a dummynet pipe.
    const [input, held] = [p.host.st.protosw[6]!, [] as Parameters<NonNullable<(typeof p.host.st.protosw)[6]>>[1][]];
    p.host.st.protosw[6] = (_st, m) => void held.push(m);
    p.send({ flags: 'S', mss: 1460 });
    p.send({ flags: 'S', seq: 7, mss: 1460 });
    watch.hook.unhook();
    watch.hook.hook(p.host.st.clock.wallUs());
    for (const m of held) input(p.host.st, m);
    p.host.pass();
    watch.hook.unhook();
    expect(watch.counted).toMatchObject({ n_in: 2, nskip_in_inpcb: 2 });
    expect(watch.expected).toBe(watch.rows.length);
    expect(tcp.tap).toBeNull();
  });

  test('a cut between two cycles settles what is open: each packet is of one cycle, and numbers begin again (section 14 items 7 and 9)', () => {
    const p = new ScriptedPeer({}).listen();
    const watch = new Watch(p.host, TCP);
    const { st } = p.host;
    p.send({ flags: 'S', mss: 1460 });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    const input = st.protosw[6]!;
    const held: Parameters<typeof input>[1][] = [];
    st.protosw[6] = (_st, m) => void held.push(m);
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3] });
    // Two of the handshake, the ACK that ended it, and the one that is held.
    const before = watch.hook.cut(st.clock.wallUs());
    expect(before).toMatchObject({ numIn: 3, numOut: 1, skippedInpcbIn: 2, skippedInpcbOut: 1 });
    expect(watch.writer.end(() => false).lines).toBe(1);
    watch.begin();
    st.protosw[6] = input;
    for (const m of held) input(st, m);
    p.send({ flags: 'A', seq: 4, ack: 1, data: [4] });
    watch.hook.unhook();
    const after = watch.counted;
    expect(after['n_in']! - before.numIn).toBe(1);
    expect(after['nskip_in_inpcb']! - before.skippedInpcbIn).toBe(0);
    // The held one has no line; the one behind it has, and what it was answered with.
    expect(watch.rows.filter((r) => r.dir === 'i')).toHaveLength(2);
    expect(watch.rows).toHaveLength(watch.expected);
  });

  test('a segment that was seen and then refused by IP has its line, with nothing in flight', () => {
    const t = connected();
    const c0 = t.client.rows.length;
    const { pfil } = t.net.a.st;
    // Nearer the wire than SIFTR: makes a large packet longer than the link takes.
    const hook = {
      mod: 'test',
      rul: 'longer',
      type: 'inet' as const,
      flags: 0,
      mbuf: (m: { len: number }) => {
        if (m.len > 1000) m.len += 600;
        return 0 as const;
      },
    };
    pfil.addHook(hook);
    pfil.link(pfil.inet, hook, { out: true });
    t.user.sendAll(pattern(1400), false);
    expect(t.client.rows.slice(c0).map((r) => [r.dir, r.inflight])).toEqual([['o', 0]]);
    pfil.removeHook(hook);
    t.net.run(5 * SECOND);
    expect(t.peer.received).toBe(1400);
    expect(t.client.rows).toHaveLength(t.client.expected);
  });

  test('a mode of the cycle: connections that are there when it begins are followed, and none any more when it has ended', () => {
    const net = new TwoStacks();
    const accepted: Recorder[] = [];
    serve(net.b, 80, accepted);
    const user = open(net.a, ADDR_B, 80);
    net.run(SECOND, () => user.has('connected'));
    const { tcp } = net.a.st;
    const tp = user.so!.tp!;
    expect([tcp.tap, tcp.trace, tp.t_trace]).toEqual([null, null, null]);
    const watch = new Watch(net.a, TCP);
    user.sendAll(pattern(100), false);
    net.run(SECOND);
    expect(watch.rows.map((r) => [r.dir, r.inflight])).toEqual([
      ['o', 100],
      ['i', 0],
    ]);
    watch.hook.unhook();
    expect([tcp.tap, tcp.trace, tp.t_trace]).toEqual([null, null, null]);
    user.sendAll(pattern(100), false);
    net.run(SECOND);
    expect(watch.rows).toHaveLength(2);
  });

  test('strict=1 samples as siftr(4) does, whatever the mode says', () => {
    const t = connected({ knobs: { strict: 1 } });
    expect(t.client.steps).toEqual(['o 4']);
    expect(t.client.counted).toEqual({ n_in: 1, n_out: 2, nskip_in_tcpcb: 1, nskip_out_tcpcb: 1 });
    expect(t.net.a.st.tcp.tap).toBeNull();
  });

  test('the time of a line is that of the sampling: the clock of the shard, not the stamp of the frame', () => {
    const p = new ScriptedPeer({}).listen();
    const watch = new Watch(p.host, TCP);
    p.send({ flags: 'S', mss: 1460 });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    const { clock, cnt } = p.host.st;
    expect(watch.rows[0]!.us).toBe(clock.wallUs());
    // How old the frame was is in the histogram all the same: one of its 22 classes.
    const ages = cnt.slice(siftrs.siftrs_age, siftrs.siftrs_age + 22);
    expect(ages.reduce((n, c) => n + c, 0)).toBe(1);
  });
});

describe('whole transfers with hook=tcp, beside what the segments say', () => {
  const run = (seed: number, every: number, knobs = {}) => {
    let n = 0;
    const t = connected({ seed, knobs, lose: () => every > 0 && ++n > 4 && n % every === 0 });
    t.peer.onEnd = () => t.peer.sendAll(pattern(300_000), true);
    t.user.sendAll(pattern(200_000), true);
    expect(t.net.run(300 * SECOND, () => t.peer.has('closed 0'))).toBe(true);
    t.net.run(SECOND);
    return t;
  };

  test.each([
    ['without loss', 7, 0],
    ['with every fiftieth frame lost', 7, 50],
    ['with every seventeenth frame lost', 3, 17],
  ])(
    'field 24, the send window and the flags of every line are those of after its segment, %s',
    (_what, seed, every) => {
      const t = run(seed, every);
      follow(t.client.rows, t.wire[0], { i: 0, o: 1 });
      follow(t.server.rows, t.wire[1], { i: 1, o: 1 });
      expect(t.client.rows.length).toBeGreaterThan(300);
    },
  );

  test('what tcpOutput does before it sends shows from the outbound line on: the send buffer grows there, not with the ACK', () => {
    const { rows } = run(7, 0).client;
    expect(new Set(rows.map((r) => r.sndHiwat)).size).toBeGreaterThan(3);
    // But for the SYN-ACK, which rounds it to whole segments.
    for (let i = 1; i < rows.length; i++) {
      if (rows[i]!.dir === 'i') expect(rows[i]!.sndHiwat, `line ${i}`).toBe(rows[i - 1]!.sndHiwat);
    }
  });

  test.each([
    ['without loss', 0],
    ['with every fiftieth frame lost', 50],
  ])('lines are packets seen less packets skipped, %s (section 7)', (_what, every) => {
    const t = run(7, every);
    for (const watch of [t.client, t.server]) {
      watch.hook.unhook();
      expect(watch.rows).toHaveLength(watch.expected);
    }
    expect(t.client.counted).toMatchObject({ n_out: t.net.sent[0] });
  });
});

describe('inflight=pipe (spec/siftr.md section 14 item 6, RFC 6675)', () => {
  const MSS = 1448;

  test('SACKed bytes leave the pipe, then those that are lost; a retransmission comes back into it', () => {
    let lost = 0;
    const t = connected({ knobs: { inflight: 'pipe' }, lose: (to, i) => to === 1 && i > 1 && lost++ === 2 });
    const c0 = t.client.rows.length;
    t.user.sendAll(pattern(10 * MSS), false);
    t.net.run(SECOND);
    const rows = t.client.rows.slice(c0);
    const out = rows.filter((r) => r.dir === 'o').map((r) => r.inflight / MSS);
    // Ten segments into the network, each counted.
    expect(out.slice(0, 10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    // Field 24 of the lines with SACK blocks: in flight less SACKed, and from the third SACKed segment on less the lost one, until it
    // is sent again (RFC 6675 section 4: IsLost with DupThresh 3).
    const after = rows.slice(10);
    const acks = t.wire[0].filter((s) => s.dir === 'i').slice(1);
    const base = t.wire[0].filter((s) => s.dir === 'o').find((s) => s.space > 1)!.seq;
    let resent = false;
    for (const row of after) {
      if (row.dir === 'o') {
        resent = true;
        continue;
      }
      const ack = acks.shift()!;
      const flight = 10 - ((ack.ack - base) | 0) / MSS;
      const sacked = ack.sacked / MSS;
      const missing = sacked >= 3 && !resent ? 1 : 0;
      expect(row.inflight / MSS, `ack ${(ack.ack - base) / MSS} sacked ${sacked}`).toBe(flight - sacked - missing);
    }
    expect(acks).toEqual([]);
    expect(resent).toBe(true);
    expect(rows.at(-1)!.inflight).toBe(0);
  });

  test('strict=1 shows flight size', () => {
    const t = connected({ knobs: { inflight: 'pipe', strict: 1 } });
    t.net.filter = (_f, to, i) => (to === 1 && i === 3 ? [] : [0]);
    const c0 = t.client.rows.length;
    t.user.sendAll(pattern(6 * MSS), false);
    t.net.run(SECOND);
    const inbound = t.client.rows.slice(c0).filter((r) => r.dir === 'i');
    // Before each ACK is processed: the first three stand at six segments, whatever is SACKed.
    expect(inbound[0]!.inflight).toBe(6 * MSS);
    expect(inbound[2]!.inflight).toBeGreaterThanOrEqual(5 * MSS);
  });
});
