import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { findSysctl, parseAssignment, type SysctlNumber, setTunable } from '../../../../src/stack/sysctl.ts';
import { ScriptedPeer, type Seg } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

/**
 * The knobs of tcp(4) of FreeBSD, one by one: its name, its meaning, and that it takes effect on a stack that runs. Defaults are in
 * test/unit/stack/sysctl.test.ts; knobs of recovery, congestion control, path MTU and the SYN cache have tests beside these.
 */

const MS = 1000;
const MSS = 1460;
const GIVEN_UP = 'closed 110';
const RESET = 'closed 104';

/** A running stack whose knobs are turned then, as sysctl(8) does. */
function running(...settings: string[]): ScriptedPeer {
  const p = new ScriptedPeer();
  turn(p, ...settings);
  return p;
}

function turn(p: ScriptedPeer, ...settings: string[]): void {
  for (const s of settings) {
    const { decl, value } = parseAssignment(s, 'run');
    setTunable(p.host.st.tune, decl as SysctlNumber, value as number);
  }
}

/** Flags of what is sent in answer to a segment. */
function answer(p: ScriptedPeer, s: Seg): string[] {
  p.out();
  p.send(s);
  return p.out().map((o) => o.flags);
}

/** Times in ms, from now on, at which something is sent within `ms`. */
function times(p: ScriptedPeer, ms: number): number[] {
  const at: number[] = [];
  p.out();
  for (let t = 10; t <= ms; t += 10) {
    p.advance(10 * MS);
    for (const _ of p.out()) at.push(t);
  }
  return at;
}

const near = (ms: number[]): unknown[] => ms.map((t) => expect.closeTo(t, -1.4));

describe('handshakes', () => {
  it('net.inet.tcp.keepinit limits an attempt to connect', () => {
    const p = running('net.inet.tcp.keepinit=5000');
    const { rec } = p.connect();
    p.advance(4990 * MS);
    expect(rec.events).toEqual([]);
    p.advance(20 * MS);
    expect(rec.events).toEqual([GIVEN_UP]);
  });

  it('net.inet.tcp.rexmit_initial is the timeout of a SYN', () => {
    const p = running('net.inet.tcp.rexmit_initial=3000');
    p.connect();
    expect(times(p, 10_000)).toEqual(near([3000, 9000]));
  });

  it('net.inet.tcp.mssdflt is the segment size of a peer that names none (RFC 9293 MUST-15)', () => {
    const p = running('net.inet.tcp.mssdflt=700');
    const { rec } = p.establish({ mss: undefined });
    rec.sendAll(pattern(2000));
    p.host.pass();
    expect(p.out()[0]!.len).toBe(700);
  });

  it('net.inet.tcp.rfc1323 offers and takes window scaling and timestamps, or neither', () => {
    for (const on of [0, 1]) {
      const p = running(`net.inet.tcp.rfc1323=${on}`);
      p.connect();
      const ours = p.one();
      expect([ours.wscale !== undefined, ours.ts !== undefined]).toEqual([on === 1, on === 1]);
      const q = running(`net.inet.tcp.rfc1323=${on}`).listen();
      q.send({ flags: 'S', mss: MSS, wscale: 3, ts: [5, 0] });
      const theirs = q.one();
      expect([theirs.wscale !== undefined, theirs.ts !== undefined]).toEqual([on === 1, on === 1]);
    }
  });

  it('net.inet.tcp.sack.enable offers and takes selective acknowledgments, or not', () => {
    const SACK_PERMITTED = 4;
    for (const on of [0, 1]) {
      const p = running(`net.inet.tcp.sack.enable=${on}`);
      p.connect();
      expect(p.one().optionKinds.includes(SACK_PERMITTED)).toBe(on === 1);
      const q = running(`net.inet.tcp.sack.enable=${on}`).listen();
      q.send({ flags: 'S', mss: MSS, sackok: true });
      expect(q.one().optionKinds.includes(SACK_PERMITTED)).toBe(on === 1);
    }
  });

  it('net.inet.tcp.ecn.enable: 0 neither asks for ECN nor accepts it, 1 does both, 2 accepts it', () => {
    for (const [value, asks, accepts] of [
      [0, 'S', 'SA'],
      [1, 'SEW', 'SAE'],
      [2, 'S', 'SAE'],
    ] as const) {
      const p = running(`net.inet.tcp.ecn.enable=${value}`);
      p.connect();
      expect(p.one().flags).toBe(asks);
      const q = running(`net.inet.tcp.ecn.enable=${value}`).listen();
      q.send({ flags: 'SEW', mss: MSS });
      expect(q.one().flags).toBe(accepts);
    }
  });
});

describe('buffers', () => {
  it('net.inet.tcp.recvspace is the window that a listener offers from then on', () => {
    const p = running('net.inet.tcp.recvspace=20000').listen();
    p.send({ flags: 'S', mss: MSS });
    expect(p.one().win).toBe(20_000);
  });

  it('net.inet.tcp.sendspace is what a connection takes for sending, in whole segments', () => {
    const p = running('net.inet.tcp.sendspace=5000');
    expect(p.establish().so.sendSpace).toBe(4 * MSS);
  });

  it('kern.ipc.maxsockbuf bounds what an application asks for, and is what the window shift must cover (RFC 7323 section 2.3)', () => {
    const p = running('kern.ipc.maxsockbuf=40000');
    const { so } = p.connect();
    expect(p.one().wscale).toBe(0);
    so.setOptions({ sndBuf: 100_000, rcvBuf: 100_000 });
    expect([so.getOption('sndBuf'), so.getOption('rcvBuf')]).toEqual([40_000, 40_000]);
    turn(p, 'kern.ipc.maxsockbuf=1000000');
    so.setOptions({ sndBuf: 99_000 });
    expect(so.getOption('sndBuf')).toBe(99_000);
    const q = running('kern.ipc.maxsockbuf=1000000');
    q.connect();
    // 65535 << 3 is less, 65535 << 4 is more.
    expect(q.one().wscale).toBe(4);
  });
});

describe('listeners', () => {
  it('kern.ipc.soacceptqueue is how many connections wait where the application names no number: one and a half times that (listen(2))', () => {
    const p = running('kern.ipc.soacceptqueue=4').listen();
    const accepting = p.listener!;
    accepting.close();
    const l = listen(p.host.st, { port: 80 }, () => null);
    for (let i = 0; i < 9; i++) {
      p.send({ flags: 'S', mss: MSS, sport: 2000 + i });
      if (p.out().length > 0) p.send({ flags: 'A', seq: 1, ack: 1, sport: 2000 + i });
    }
    expect([l.qlen, p.host.count('tcps_listen_overflow')]).toEqual([7, 2]);
  });
});

describe('acknowledgments', () => {
  it('net.inet.tcp.delacktime is how long one waits', () => {
    const p = running('net.inet.tcp.delacktime=100');
    p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    expect(times(p, 500)).toEqual(near([100]));
    turn(p, 'net.inet.tcp.delacktime=300');
    p.send({ flags: 'A', seq: 2, ack: 1, data: [1] });
    expect(times(p, 500)).toEqual(near([300]));
  });

  it('net.inet.tcp.delayed_ack 0 lets none wait', () => {
    const p = running('net.inet.tcp.delayed_ack=0');
    p.establish();
    expect(answer(p, { flags: 'A', seq: 1, ack: 1, data: [1] })).toEqual(['A']);
  });
});

describe('timeouts', () => {
  /** When a segment is sent again, on a path without delay. */
  const again = (...settings: string[]): number[] => {
    const p = running(...settings);
    const { rec } = p.establish();
    rec.sendAll(pattern(100));
    p.host.pass();
    return times(p, 3000).slice(0, 1);
  };

  it('net.inet.tcp.rexmit_min is the least of it, before the slop', () => {
    expect(again('net.inet.tcp.rexmit_min=500', 'net.inet.tcp.rexmit_slop=0')).toEqual(near([500]));
    expect(again('net.inet.tcp.rexmit_min=800', 'net.inet.tcp.rexmit_slop=0')).toEqual(near([800]));
  });

  it('net.inet.tcp.rexmit_slop is added', () => {
    expect(again('net.inet.tcp.rexmit_min=30', 'net.inet.tcp.rexmit_slop=1000')).toEqual(near([1030]));
  });

  it('net.inet.tcp.persmin and persmax are the least and the longest time between probes of a closed window', () => {
    const p = running('net.inet.tcp.persmin=2000', 'net.inet.tcp.persmax=3000');
    const { rec } = p.establish({ win: 0 });
    rec.sendAll(pattern(100));
    p.host.pass();
    const at = times(p, 30_000);
    const gaps = at.map((t, i) => t - (at[i - 1] ?? 0));
    expect(gaps.length).toBeGreaterThan(8);
    for (const g of gaps) {
      expect(g).toBeGreaterThanOrEqual(2000);
      expect(g).toBeLessThanOrEqual(3010);
    }
  });
});

describe('keepalive (RFC 9293 section 3.8.4)', () => {
  const idle = ['net.inet.tcp.keepidle=10000', 'net.inet.tcp.keepintvl=2000', 'net.inet.tcp.keepcnt=3'];

  it('net.inet.tcp.keepidle is the silence before the first probe', () => {
    const p = running('net.inet.tcp.keepidle=15000');
    p.establish();
    expect(times(p, 20_000)).toEqual(near([15_000]));
  });

  it('net.inet.tcp.keepintvl is the time between probes', () => {
    const p = running(...idle, 'net.inet.tcp.keepintvl=500');
    p.establish();
    // The last is the RST.
    expect(times(p, 15_000)).toEqual(near([10_000, 10_500, 11_000, 11_500]));
  });

  it('net.inet.tcp.keepcnt is how many stay unanswered before the connection is given up', () => {
    const p = running(...idle, 'net.inet.tcp.keepcnt=5');
    const { rec } = p.establish();
    p.advance(19_900 * MS);
    expect([p.host.count('tcps_keepprobe'), rec.events.length]).toEqual([5, 1]);
    p.advance(200 * MS);
    expect(rec.events.at(-1)).toBe(GIVEN_UP);
  });

  it('net.inet.tcp.always_keepalive 0 leaves it to the applications', () => {
    const p = running(...idle, 'net.inet.tcp.always_keepalive=0');
    const { so } = p.establish();
    expect(times(p, 30_000)).toEqual([]);
    so.setKeepAlive(true, 0);
    expect(times(p, 10_500)).toHaveLength(1);
  });
});

describe('the end of a connection', () => {
  it('net.inet.tcp.msl: TIME-WAIT lasts twice as long', () => {
    const p = running('net.inet.tcp.msl=1500');
    const { so } = p.establish();
    so.shutdown();
    p.host.pass();
    p.send({ flags: 'FA', seq: 1, ack: 2 });
    p.advance(2990 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(1);
    p.advance(20 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  /** Closed, and acknowledged by a peer that does not close. */
  const halfClosed = (...settings: string[]): ScriptedPeer => {
    const p = running('net.inet.tcp.always_keepalive=0', ...settings);
    p.establish().so.close();
    p.host.pass();
    p.send({ flags: 'A', seq: 1, ack: 2 });
    return p;
  };

  it('net.inet.tcp.fast_finwait2_recycle: FIN-WAIT-2 lasts finwait2_timeout, whatever comes', () => {
    const p = halfClosed('net.inet.tcp.fast_finwait2_recycle=1', 'net.inet.tcp.finwait2_timeout=10000');
    p.advance(9000 * MS);
    p.send({ flags: 'A', seq: 1, ack: 2 });
    p.advance(990 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(1);
    p.advance(20 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(0);
    expect(p.host.count('tcps_finwait2_drops')).toBe(1);
  });

  it('without it, keepcnt times keepintvl of silence, looked for once every keepintvl', () => {
    const p = halfClosed(
      'net.inet.tcp.keepcnt=3',
      'net.inet.tcp.keepintvl=10000',
      'net.inet.tcp.finwait2_timeout=1000',
    );
    p.advance(25_000 * MS);
    p.send({ flags: 'A', seq: 1, ack: 2 });
    p.advance(29_900 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(1);
    p.advance(10_200 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(0);
    expect(p.host.count('tcps_finwait2_drops')).toBe(1);
  });
});

describe('segments that should not be', () => {
  it('net.inet.tcp.drop_synfin drops SYN with FIN', () => {
    const p = running().listen();
    expect(answer(p, { flags: 'SF', mss: MSS })).toEqual(['SA']);
    turn(p, 'net.inet.tcp.drop_synfin=1');
    expect(answer(p, { flags: 'SF', mss: MSS, sport: 5000 })).toEqual([]);
    expect(p.host.count('tcps_rcvsynfin')).toBe(1);
  });

  it('net.inet.tcp.blackhole: 1 leaves SYNs to closed ports without an answer, 2 all segments', () => {
    const p = running();
    const both = (): string[][] => [answer(p, { flags: 'S' }), answer(p, { flags: 'A', ack: 1 })];
    expect(both()).toEqual([['RA'], ['R']]);
    turn(p, 'net.inet.tcp.blackhole=1');
    expect(both()).toEqual([[], ['R']]);
    turn(p, 'net.inet.tcp.blackhole=2');
    expect(both()).toEqual([[], []]);
  });

  it('net.inet.tcp.insecure_rst: a RST ends the connection anywhere in the window (RFC 793), or at its edge only (RFC 5961)', () => {
    const p = running();
    const { rec } = p.establish();
    expect(answer(p, { flags: 'R', seq: 100 })).toEqual(['A']);
    turn(p, 'net.inet.tcp.insecure_rst=1');
    expect(answer(p, { flags: 'R', seq: 3_000_000 })).toEqual([]);
    expect(rec.events).toEqual(['connected']);
    expect(answer(p, { flags: 'R', seq: 100 })).toEqual([]);
    expect(rec.events).toEqual(['connected', RESET]);
  });

  it('net.inet.tcp.insecure_syn: a SYN in the window resets the connection (RFC 793), or is challenged (RFC 5961)', () => {
    const p = running();
    const { rec } = p.establish();
    expect(answer(p, { flags: 'S', seq: 100 })).toEqual(['A']);
    turn(p, 'net.inet.tcp.insecure_syn=1');
    expect(answer(p, { flags: 'S', seq: -5 })).toEqual(['A']);
    expect(rec.events).toEqual(['connected']);
    expect(answer(p, { flags: 'S', seq: 100 })).toEqual(['RA']);
    expect(rec.events).toEqual(['connected', RESET]);
  });

  it('net.inet.tcp.tolerate_missing_ts takes a segment without the timestamp that was agreed to, and keeps the last one seen', () => {
    const p = running();
    const { rec } = p.establish({ ts: [1000, 0] });
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1], ts: [5000, 0] });
    p.out();
    p.send({ flags: 'A', seq: 2, ack: 1, data: [2] });
    expect([...rec.bytes]).toEqual([1, 2]);
    expect(p.one().ts![1]).toBe(5000);
    // It still holds for segments that have one (RFC 7323 section 5.3).
    p.send({ flags: 'A', seq: 3, ack: 1, data: [3], ts: [4000, 0] });
    expect(p.host.count('tcps_pawsdrop')).toBe(1);
    turn(p, 'net.inet.tcp.tolerate_missing_ts=0');
    p.send({ flags: 'A', seq: 3, ack: 1, data: [3] });
    expect([...rec.bytes]).toEqual([1, 2]);
    expect(p.host.count('tcps_rcvnots')).toBe(1);
  });
});

it('every knob of this list is there to be turned while the stack runs', () => {
  const names =
    'sack.enable recvspace sendspace ecn.enable rfc1323 blackhole insecure_rst insecure_syn drop_synfin keepinit keepidle keepintvl keepcnt delacktime rexmit_initial rexmit_min rexmit_slop mssdflt tolerate_missing_ts msl finwait2_timeout';
  for (const n of names.split(' ')) expect(findSysctl(`net.inet.tcp.${n}`).rw, n).toBe('rw');
  expect(findSysctl('kern.ipc.maxsockbuf').rw).toBe('rw');
});
