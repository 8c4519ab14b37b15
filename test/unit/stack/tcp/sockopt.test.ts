import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EWOULDBLOCK } from '../../../../src/stack/errno.ts';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { connect } from '../../../../src/stack/socket/socket.ts';
import { SOCKOPT_DEFAULTS, type SockOptValues } from '../../../../src/stack/socket/sockopt.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';

const MS = 1000;
const MSS = 1460;
const PEER = 0xc0000202 | 0;

/** A peer whose listener has `options`. */
function listening(options: Partial<SockOptValues>, tune = {}): ScriptedPeer {
  const p = new ScriptedPeer({ tune });
  p.listener = listen(p.host.st, { port: 80, options }, (so) => {
    const r = new Recorder();
    r.so = so;
    p.accepted.push(r);
    return r;
  });
  return p;
}

describe('the options of a socket', () => {
  it('are refused as a whole where one is no option, or none of its values', () => {
    const { so } = new ScriptedPeer().establish();
    for (const [bad, line] of [
      [{ keepIdle: -1 }, 'setsockopt EINVAL keepIdle=-1: 0 or 1..2147483647 ms'],
      [{ keepCnt: 128 }, 'setsockopt EINVAL keepCnt=128: 0 or 1..127'],
      [{ maxSeg: 87 }, 'setsockopt EINVAL maxSeg=87: 0 or 88..32767 bytes'],
      [{ rcvLowat: 0 }, 'setsockopt EINVAL rcvLowat=0: 1..2147483647 bytes'],
      [{ userTimeout: 1.5 }, 'setsockopt EINVAL userTimeout=1.5: 0 or 1..2147483647 ms'],
      [{ noDelay: 1 }, 'setsockopt EINVAL noDelay=1: true or false'],
      [{ colour: 1 }, 'setsockopt EINVAL colour: no such option'],
    ] as const) {
      expect(() => so.setOptions({ noPush: true, ...(bad as object) })).toThrow(line);
    }
    expect(so.getOption('noPush')).toBe(false);
  });

  it('read back what is in force: what was set, or the default of the stack', () => {
    const p = new ScriptedPeer({ tune: { tcp_keepcnt: 5, tcp_maxunacktime: 7 } });
    const { so } = p.establish();
    expect([so.getOption('keepIdle'), so.getOption('keepIntvl'), so.getOption('keepInit')]).toEqual([
      7_200_000, 75_000, 75_000,
    ]);
    expect([so.getOption('keepCnt'), so.getOption('userTimeout'), so.getOption('linger')]).toEqual([5, 7, -1]);
    expect(so.getOption('maxSeg')).toBe(MSS);
    const set = { keepIdle: 1, keepIntvl: 2, keepInit: 3, keepCnt: 4, userTimeout: 5, linger: 6, noDelay: true };
    so.setOptions(set);
    for (const [name, value] of Object.entries(set)) expect(so.getOption(name as keyof SockOptValues)).toBe(value);
  });

  it('are those of the listener for the connections that it accepts, as they are then', () => {
    const p = listening({ noDelay: true, keepIdle: 5000, linger: 10, sndBuf: 5000, rcvBuf: 6000 });
    const first = p.establish().so;
    expect([first.getOption('noDelay'), first.getOption('keepIdle'), first.getOption('linger')]).toEqual([
      true,
      5000,
      10,
    ]);
    // Whole segments, as FreeBSD rounds them.
    expect([first.getOption('sndBuf'), first.getOption('rcvBuf')]).toEqual([4 * MSS, 5 * MSS]);
    expect([first.autoSnd, first.autoRcv]).toEqual([false, false]);
    // Nagle is off from the first byte on.
    for (const n of [1, 2]) {
      first.send(pattern(n), 0, n);
      p.host.pass();
      expect(p.one().len).toBe(n);
    }
    p.listener!.setOptions({ keepIdle: 9000 });
    p.send({ flags: 'S', mss: MSS, sport: 5000 });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 5000 });
    expect(p.accepted[1]!.so!.getOption('keepIdle')).toBe(9000);
    expect(first.getOption('keepIdle')).toBe(5000);
  });

  it('are all in docs/socket-options.md', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/socket-options.md'), 'utf8');
    const rows = page.split('\n').filter((l) => l.startsWith('| `'));
    for (const name of Object.keys(SOCKOPT_DEFAULTS)) {
      expect(
        rows.some((l) => l.split('|')[1]!.includes(`\`${name}\``)),
        name,
      ).toBe(true);
    }
  });

  it('can be given with an active open', () => {
    const p = new ScriptedPeer();
    const so = connect(
      p.host.st,
      { faddr: PEER, fport: 80, options: { maxSeg: 500, userTimeout: 10 } },
      new Recorder(),
    );
    p.host.pass();
    expect(p.one().mss).toBe(500);
    expect(so.getOption('userTimeout')).toBe(10);
  });
});

describe('SO_LINGER', () => {
  const closing = (linger: number) => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.setOptions({ linger });
    so.send(pattern(100), 0, 100);
    p.host.pass();
    p.out();
    const done: number[] = [];
    so.close((errno) => done.push(errno));
    p.host.pass();
    return { p, rec, so, done, sent: p.out() };
  };

  it('of 0 resets on close and throws away what is queued (RFC 9293 section 3.6.1 aborts so)', () => {
    const { p, rec, done, sent } = closing(0);
    expect(sent.map((o) => o.flags)).toEqual(['RA']);
    expect(rec.events).toEqual(['connected', 'closed 0']);
    expect(done).toEqual([0]);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  it('that is off tells at once that it is closed, and sends what is queued', () => {
    const { done, sent } = closing(-1);
    expect(done).toEqual([0]);
    expect(sent.map((o) => o.flags)).toEqual(['FA']);
  });

  it('of some time tells when data and FIN are acknowledged', () => {
    const { p, done } = closing(5000);
    p.send({ flags: 'A', seq: 1, ack: 101 });
    expect(done).toEqual([]);
    p.send({ flags: 'A', seq: 1, ack: 102 });
    expect(done).toEqual([0]);
    p.advance(10_000 * MS);
    expect(done).toEqual([0]);
  });

  it('of some time tells with EWOULDBLOCK that it is over, and the connection goes on', () => {
    const { p, rec, done } = closing(5000);
    p.advance(4990 * MS);
    expect(done).toEqual([]);
    p.advance(20 * MS);
    expect(done).toEqual([EWOULDBLOCK]);
    expect(rec.events).toEqual(['connected']);
    p.out();
    p.advance(30_000 * MS);
    expect(p.out().some((o) => o.seq === 1 && o.len === 100)).toBe(true);
    p.send({ flags: 'A', seq: 1, ack: 102 });
    p.send({ flags: 'FA', seq: 1, ack: 102 });
    expect(rec.events.at(-1)).toBe('closed 0');
    expect(done).toEqual([EWOULDBLOCK]);
  });

  it('of some time tells the error of a connection that ends meanwhile', () => {
    const { p, done } = closing(5000);
    p.send({ flags: 'R', seq: 1 });
    expect(done).toEqual([104]);
  });

  it('does not wait where all is acknowledged already', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.setOptions({ linger: 5000 });
    so.shutdown();
    p.host.pass();
    p.send({ flags: 'A', seq: 1, ack: 2 });
    const done: number[] = [];
    so.close((errno) => done.push(errno));
    expect(done).toEqual([0]);
    so.close((errno) => done.push(errno));
    expect(done).toEqual([0, 0]);
  });
});

describe('the keepalive of a connection (RFC 9293 MUST-24, MUST-27)', () => {
  it('has times and a count of its own', () => {
    const p = new ScriptedPeer({ tune: { tcp_always_keepalive: 0 } });
    const { rec, so } = p.establish();
    so.setOptions({ keepAlive: true, keepIdle: 20_000, keepIntvl: 2000, keepCnt: 4 });
    p.advance(19_900 * MS);
    expect(p.out()).toEqual([]);
    p.advance(200 * MS);
    expect(p.one().seq).toBe(0);
    for (let i = 0; i < 3; i++) {
      p.advance(2000 * MS);
      expect(p.one().seq).toBe(0);
    }
    expect(rec.events).toEqual(['connected']);
    p.advance(2000 * MS);
    expect(rec.events.at(-1)).toBe('closed 110');
  });

  it('is off unless it is asked for, with net.inet.tcp.always_keepalive 0 (MUST-25)', () => {
    const p = new ScriptedPeer({ tune: { tcp_always_keepalive: 0, tcp_keepidle: 10_000 } });
    const { so } = p.establish();
    p.advance(50_000 * MS);
    expect(p.out()).toEqual([]);
    so.setOptions({ keepAlive: true });
    p.advance(10_100 * MS);
    expect(p.out().length).toBe(1);
    so.setOptions({ keepAlive: false });
    p.out();
    p.advance(50_000 * MS);
    expect(p.out()).toEqual([]);
  });

  it('has a limit on the handshake of its own (TCP_KEEPINIT)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.connect();
    so.setOptions({ keepInit: 10_000 });
    p.advance(9900 * MS);
    expect(rec.events).toEqual([]);
    p.advance(200 * MS);
    expect(rec.events).toEqual(['closed 110']);
  });
});

describe('TCP_MAXSEG', () => {
  it('set on a listener, is what SYN,ACK announces and the most that is sent', () => {
    const p = listening({ maxSeg: 700 });
    p.send({ flags: 'S', mss: MSS });
    expect(p.one().mss).toBe(700);
    p.send({ flags: 'A', seq: 1, ack: 1 });
    p.accepted[0]!.sendAll(pattern(3000));
    p.host.pass();
    expect(p.out()[0]!.len).toBe(700);
  });

  it('set on a connection, makes segments smaller and never larger', () => {
    const p = new ScriptedPeer();
    const { so, rec } = p.establish({ mss: 1000 });
    so.setOptions({ maxSeg: 1200 });
    expect(so.getOption('maxSeg')).toBe(1000);
    so.setOptions({ maxSeg: 400 });
    rec.sendAll(pattern(1000));
    p.host.pass();
    expect(
      p
        .out()
        .slice(0, 2)
        .map((o) => o.len),
    ).toEqual([400, 400]);
  });
});

describe('SO_SNDBUF and SO_RCVBUF', () => {
  it('bound what is taken and offered, within kern.ipc.maxsockbuf', () => {
    const p = new ScriptedPeer({ tune: { ipc_maxsockbuf: 100_000 } });
    const { so } = p.establish({ win: 0 });
    so.setOptions({ sndBuf: 3000 });
    expect(so.send(pattern(10_000), 0, 10_000)).toBe(3000);
    so.setOptions({ sndBuf: 1_000_000, rcvBuf: 1 });
    expect([so.getOption('sndBuf'), so.getOption('rcvBuf')]).toEqual([100_000, 2048]);
  });

  it('made smaller, still takes what was offered', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    rec.appetite = 0;
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(MSS) });
    so.setOptions({ rcvBuf: 4096 });
    for (let i = 1; i < 44; i++) p.send({ flags: 'A', seq: 1 + MSS * i, ack: 1, data: pattern(MSS) });
    const { ack, win } = p.out().at(-1)!;
    expect(ack).toBe(1 + 44 * MSS);
    // No more is offered than was left of the first window.
    expect(ack + win).toBeLessThanOrEqual(1 + 45 * MSS);
    rec.appetite = Number.POSITIVE_INFINITY;
    so.resume();
    expect(rec.received).toBe(44 * MSS);
  });
});

describe('TCP_NOTSENT_LOWAT', () => {
  it('bounds what waits unsent, and tells of room when half of it is gone', () => {
    const p = new ScriptedPeer();
    const { so, rec } = p.establish({ win: 2 * MSS });
    so.setOptions({ notsentLowat: 4000 });
    let told = 0;
    rec.writable = () => {
      told++;
    };
    expect(so.sendSpace).toBe(4000);
    expect(so.send(pattern(20_000), 0, 20_000)).toBe(4000);
    p.host.pass();
    // 2920 bytes are in flight: 1080 wait.
    expect(so.sendSpace).toBe(2920);
    expect(so.send(pattern(20_000), 0, 20_000)).toBe(2920);
    expect(so.send(pattern(20_000), 0, 20_000)).toBe(0);
    p.send({ flags: 'A', seq: 1, ack: 1 + MSS, win: 2 * MSS });
    p.send({ flags: 'A', seq: 1, ack: 1 + 2 * MSS, win: 2 * MSS });
    // 4000 and 2540 waited when these came, 1080 wait when the next one does.
    expect(told).toBe(0);
    p.send({ flags: 'A', seq: 1, ack: 1 + 3 * MSS, win: 2 * MSS });
    expect(told).toBe(1);
  });
});

describe('SO_RCVLOWAT', () => {
  const receiving = (rcvLowat: number) => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.setOptions({ rcvLowat });
    let seq = 1;
    const data = (n: number, flags = 'A'): number => {
      p.send({ flags, seq, ack: 1, data: pattern(n) });
      seq += n;
      return rec.received;
    };
    return { p, rec, so, data };
  };

  it('holds back what is too little until there is enough', () => {
    const { data } = receiving(1000);
    expect(data(400)).toBe(0);
    expect(data(400)).toBe(0);
    expect(data(200)).toBe(1000);
    expect(data(400)).toBe(1000);
  });

  it('offers the rest before the end', () => {
    const { rec, data } = receiving(1000);
    data(400);
    expect(data(100, 'FA')).toBe(500);
    expect(rec.events).toEqual(['connected', 'end']);
  });

  it('offers what there is when it is made less', () => {
    const { rec, so, data } = receiving(1000);
    data(400);
    so.setOptions({ rcvLowat: 1 });
    expect(rec.received).toBe(400);
  });

  it('takes half of the receive buffer for enough', () => {
    const { so, data } = receiving(1_000_000);
    const half = so.so_rcv.sb_hiwat >> 1;
    for (let n = MSS; n < half; n += MSS) expect(data(MSS)).toBe(0);
    expect(data(MSS)).toBeGreaterThanOrEqual(half);
  });
});

describe('TCP_QUICKACK', () => {
  it('acknowledges every segment at once', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.setOptions({ quickAck: true });
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    expect(p.one().ack).toBe(2);
    so.setOptions({ quickAck: false });
    p.send({ flags: 'A', seq: 2, ack: 1, data: [1] });
    expect(p.out()).toEqual([]);
  });
});

describe('TCP_DEFER_ACCEPT', () => {
  const shake = (p: ScriptedPeer, sport: number): void => {
    p.send({ flags: 'S', mss: MSS, sport });
    p.one();
    p.send({ flags: 'A', seq: 1, ack: 1, sport });
  };

  it('offers a connection when its first data has come, with that data', () => {
    const p = listening({ deferAccept: 10_000 });
    shake(p, 40000);
    expect(p.accepted).toEqual([]);
    p.advance(5000 * MS);
    p.send({ flags: 'A', seq: 1, ack: 1, data: [7] });
    expect([...p.accepted[0]!.bytes]).toEqual([7]);
  });

  it('offers one without data when its time is over', () => {
    const p = listening({ deferAccept: 10_000 });
    shake(p, 40000);
    p.advance(9900 * MS);
    expect(p.accepted).toEqual([]);
    p.advance(200 * MS);
    expect(p.accepted).toHaveLength(1);
    p.send({ flags: 'A', seq: 1, ack: 1, data: [7] });
    expect(p.accepted[0]!.events).toEqual(['connected']);
    expect(p.accepted[0]!.received).toBe(1);
  });

  it('offers none that ended before, and one whose peer has only said FIN', () => {
    const p = listening({ deferAccept: 10_000 });
    shake(p, 40000);
    p.send({ flags: 'R', seq: 1 });
    p.advance(20_000 * MS);
    expect(p.accepted).toEqual([]);
    shake(p, 40001);
    p.send({ flags: 'FA', seq: 1, ack: 1, sport: 40001 });
    expect(p.accepted[0]!.events).toEqual(['connected', 'end']);
  });

  it('lets no more wait than the backlog: the oldest is reset, and counted', () => {
    const p = new ScriptedPeer();
    const accepted: Recorder[] = [];
    listen(p.host.st, { port: 80, backlog: 2, options: { deferAccept: 10_000 } }, (so) => {
      const r = new Recorder();
      r.so = so;
      accepted.push(r);
      return r;
    });
    for (const sport of [2000, 2001, 2002]) shake(p, sport);
    expect(p.out().map((o) => o.flags)).toEqual(['RA']);
    expect(p.host.count('tcps_deferdrop')).toBe(1);
    expect(p.host.st.tcp.tcb.count).toBe(2);
    p.advance(10_100 * MS);
    expect(accepted).toHaveLength(2);
  });
});
