import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const MS = 1000;

describe('LISTEN and the handshake', () => {
  it('answers a SYN with SYN,ACK carrying the options in the order mss, nop, wscale, sackOK, TS', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460, wscale: 7, sackok: true, ts: [77, 0] });
    const o = p.one();
    expect(o.flags).toBe('SA');
    expect(o.ack).toBe(1);
    expect(o.optionKinds).toEqual([2, 1, 3, 4, 8]);
    expect(o.mss).toBe(1460);
    expect(o.ts![1]).toBe(77);
  });

  it('offers only what the peer offered (RFC 7323 section 2.2 and 3.2, RFC 2018 section 2)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    expect(p.one().optionKinds).toEqual([2]);
  });

  it('sends the SYN of an active open with all options and no ACK', () => {
    const p = new ScriptedPeer();
    p.connect();
    const o = p.one();
    expect(o.flags).toBe('S');
    expect(o.ack).toBe(0);
    expect(o.optionKinds).toEqual([2, 1, 3, 4, 8]);
  });

  it('resets an ACK in LISTEN with the number that it carried (RFC 9293 section 3.10.7.2, second)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'A', seq: 5, ack: 4242 });
    const o = p.one();
    expect(o.flags).toBe('R');
    expect(o.seq).toBe(4242);
    expect(p.host.count('tcps_badsyn')).toBe(1);
  });

  it('ignores a RST in LISTEN (RFC 9293 section 3.10.7.2, first)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'R', seq: 5 });
    expect(p.out()).toEqual([]);
  });

  it('resets a SYN to a closed port with seq 0 and ack of the SYN (RFC 9293 section 3.10.7.1)', () => {
    const p = new ScriptedPeer();
    p.send({ flags: 'S', seq: 0 });
    const o = p.one();
    expect(o.flags).toBe('RA');
    expect(o.ack).toBe(1);
    expect(new DataView(o.raw.buffer, o.raw.byteOffset).getUint32(4)).toBe(0);
  });

  it('does not answer a RST to a closed port', () => {
    const p = new ScriptedPeer();
    p.send({ flags: 'R' });
    expect(p.out()).toEqual([]);
  });

  it('repeats SYN,ACK after 1, 2 and 4 s and then forgets the handshake (net.inet.tcp.syncache.rexmtlimit 3)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    expect(p.out().length).toBe(1);
    const at: number[] = [];
    for (let ms = 1; ms <= 20_000; ms++) {
      p.advance(MS);
      if (p.out().length > 0) at.push(ms);
    }
    expect(at).toEqual([1000, 3000, 7000]);
    expect(p.host.count('tcps_sc_timed_out')).toBe(1);
    expect(p.host.st.tcp.syncache.count).toBe(0);
  });

  it('answers a repeated SYN of the same handshake with the same SYN,ACK', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    p.one();
    const iss = p.iss;
    p.send({ flags: 'S', mss: 1460 });
    const o = p.one();
    expect(o.flags).toBe('SA');
    expect(p.iss).toBe(iss);
    expect(p.host.count('tcps_sc_dupesyn')).toBe(1);
  });

  it('drops a handshake on a RST at the next expected number, and challenges another one (RFC 5961 section 3)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'R', seq: 200 });
    expect(p.host.st.tcp.syncache.count).toBe(1);
    p.out();
    p.send({ flags: 'R', seq: 1 });
    expect(p.host.st.tcp.syncache.count).toBe(0);
  });

  it('refuses a handshake ACK with a wrong acknowledgment by RST (RFC 9293 section 3.10.7.4, SYN-RECEIVED)', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 2 });
    expect(p.one().flags).toBe('R');
    expect(p.accepted.length).toBe(0);
    expect(p.host.count('tcps_sc_badack')).toBe(1);
  });

  it('takes data that comes with the handshake ACK', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', mss: 1460 });
    p.out();
    p.send({ flags: 'AP', seq: 1, ack: 1, data: [1, 2, 3] });
    expect([...p.accepted[0]!.bytes]).toEqual([1, 2, 3]);
    expect(p.accepted[0]!.events).toEqual(['connected']);
  });
});

describe('SYN-SENT', () => {
  it('completes on SYN,ACK with an ACK (RFC 9293 section 3.5, figure 6)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.connect();
    p.out();
    p.send({ flags: 'SA', ack: 1, mss: 1460 });
    const o = p.one();
    expect(o.flags).toBe('A');
    expect([o.seq, o.ack]).toEqual([1, 1]);
    expect(rec.events).toEqual(['connected']);
  });

  it('resets an unacceptable ACK and stays (RFC 9293 section 3.10.7.3, first)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.connect();
    p.out();
    p.send({ flags: 'A', ack: 500 });
    const o = p.one();
    expect(o.flags).toBe('R');
    expect(o.seq).toBe(500);
    expect(rec.events).toEqual([]);
  });

  it('reports ECONNREFUSED on RST,ACK of our SYN, and ignores a RST without ACK (RFC 9293 section 3.10.7.3, second)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.connect();
    p.out();
    p.send({ flags: 'R', seq: 0 });
    expect(rec.events).toEqual([]);
    p.send({ flags: 'RA', ack: 1 });
    expect(rec.events).toEqual(['closed 111']);
  });

  it('repeats the SYN after 1, 2, 4, 8 s (RFC 6298 (2.1) and (5.5))', () => {
    const p = new ScriptedPeer();
    p.connect();
    p.out();
    const at: number[] = [];
    for (let ms = 1; ms <= 16_000; ms++) {
      p.advance(MS);
      if (p.out().length > 0) at.push(ms);
    }
    expect(at).toEqual([1000, 3000, 7000, 15000]);
  });

  it('answers a crossing SYN with SYN,ACK and is established by theirs (RFC 9293 section 3.5, figure 7)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.connect();
    p.out();
    p.send({ flags: 'S', mss: 1460 });
    const o = p.one();
    expect(o.flags).toBe('SA');
    expect([o.seq, o.ack]).toEqual([0, 1]);
    p.send({ flags: 'SA', ack: 1, mss: 1460 });
    expect(rec.events).toEqual(['connected']);
  });
});

describe('data in ESTABLISHED', () => {
  it('delays the ACK of one segment by 40 ms and sends it at once for the second (RFC 9293 section 3.8.6.3)', () => {
    const p = new ScriptedPeer();
    p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(1460) });
    expect(p.out()).toEqual([]);
    p.advance(39 * MS);
    expect(p.out()).toEqual([]);
    p.advance(2 * MS);
    expect(p.one().ack).toBe(1461);
    p.send({ flags: 'A', seq: 1461, ack: 1, data: pattern(1460) });
    p.send({ flags: 'A', seq: 2921, ack: 1, data: pattern(1460) });
    expect(p.one().ack).toBe(4381);
    // spec/counters.md 5.5 line 5: what leaves while the timer is armed counts as delayed, the second ACK too.
    expect(p.host.count('tcps_delack')).toBe(2);
  });

  it('acknowledges a batch of segments of one receive pass once, at its end', () => {
    const p = new ScriptedPeer();
    p.establish();
    for (let i = 0; i < 10; i++) p.inject({ flags: 'A', seq: 1 + 1460 * i, ack: 1, data: pattern(1460) });
    p.host.pass();
    expect(p.one().ack).toBe(14601);
  });

  it('sends a duplicate ACK at once for a segment out of order and one for all when the gap closes (RFC 5681 section 4.2)', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish({ sackok: true });
    p.send({ flags: 'A', seq: 101, ack: 1, data: pattern(200).slice(100) });
    const dup = p.one();
    expect(dup.ack).toBe(1);
    expect(dup.sack).toEqual([[101, 201]]);
    p.send({ flags: 'A', seq: 301, ack: 1, data: pattern(400).slice(300) });
    expect(p.one().sack).toEqual([
      [301, 401],
      [101, 201],
    ]);
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(100) });
    const o = p.one();
    expect(o.ack).toBe(201);
    expect(o.sack).toEqual([[301, 401]]);
    p.send({ flags: 'A', seq: 201, ack: 1, data: pattern(300).slice(200) });
    expect(p.one().sack).toEqual([]);
    expect(rec.bytes).toEqual(pattern(400));
  });

  it('cuts what overlaps and counts it', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(100) });
    p.send({ flags: 'A', seq: 51, ack: 1, data: pattern(200).slice(50) });
    expect(rec.bytes).toEqual(pattern(200));
    expect(p.host.count('tcps_rcvpartduppack')).toBe(1);
    expect(p.host.count('tcps_rcvpartdupbyte')).toBe(50);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, data: pattern(100) });
    expect(p.one().ack).toBe(201);
    expect(p.host.count('tcps_rcvduppack')).toBe(1);
  });

  it('answers a segment wholly right of the window with an ACK and drops it (RFC 9293 section 3.10.7.4, first)', () => {
    const p = new ScriptedPeer({ tune: { tcp_recvspace: 4096 } });
    p.establish();
    p.send({ flags: 'A', seq: 100_000, ack: 1, data: [1] });
    expect(p.one().ack).toBe(1);
    expect(p.host.count('tcps_rcvpackafterwin')).toBe(1);
    expect(p.host.count('tcps_rcvoutwin')).toBe(1);
  });

  it('drops a segment without ACK', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    p.send({ flags: '', seq: 1, data: [1] });
    expect(rec.received).toBe(0);
    expect(p.host.count('tcps_rcvnoack')).toBe(1);
  });

  it('holds a small segment back while data is unacknowledged (Nagle, RFC 9293 section 3.7.4), unless TCP_NODELAY', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    rec.sendAll(Uint8Array.of(1));
    p.host.pass();
    expect(p.one().len).toBe(1);
    rec.sendAll(Uint8Array.of(2));
    rec.sendAll(Uint8Array.of(3));
    p.host.pass();
    expect(p.out()).toEqual([]);
    p.send({ flags: 'A', seq: 1, ack: 2 });
    expect([...p.one().data]).toEqual([2, 3]);
    so.setNoDelay(true);
    rec.sendAll(Uint8Array.of(4));
    p.host.pass();
    expect([...p.one().data]).toEqual([4]);
  });

  it('probes a closed window after 5 s with one byte, and goes on when it opens', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish({ win: 10 });
    rec.sendAll(pattern(100));
    p.host.pass();
    expect(p.one().len).toBe(10);
    p.send({ flags: 'A', seq: 1, ack: 11, win: 0 });
    expect(p.out()).toEqual([]);
    p.advance(4_900 * MS);
    expect(p.out()).toEqual([]);
    p.advance(200 * MS);
    const probe = p.one();
    expect([probe.seq, probe.len]).toEqual([11, 1]);
    expect(p.host.count('tcps_sndprobe')).toBe(1);
    p.send({ flags: 'A', seq: 1, ack: 11, win: 1000 });
    const o = p.one();
    expect(Buffer.from(o.data).equals(Buffer.from(pattern(100).slice(10)))).toBe(true);
  });
});

describe('closing', () => {
  it('answers FIN with ACK, tells the user, and sends its own FIN when asked (RFC 9293 section 3.6, figure 12)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    p.send({ flags: 'FA', seq: 1, ack: 1 });
    expect(p.one().ack).toBe(2);
    expect(rec.events).toEqual(['connected', 'end']);
    so.shutdown();
    p.host.pass();
    const fin = p.one();
    expect([fin.flags, fin.seq, fin.ack]).toEqual(['FA', 1, 2]);
    p.send({ flags: 'A', seq: 2, ack: 2 });
    expect(rec.events).toEqual(['connected', 'end', 'closed 0']);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  it('closes from both sides at once through CLOSING to TIME-WAIT (RFC 9293 section 3.6, figure 13)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.shutdown();
    p.host.pass();
    p.out();
    p.send({ flags: 'FA', seq: 1, ack: 1 });
    expect(p.one().ack).toBe(2);
    p.send({ flags: 'A', seq: 2, ack: 2 });
    expect(rec.events).toEqual(['connected', 'end', 'closed 0']);
    expect(p.host.st.tcp.tcb.count).toBe(1);
    p.advance(61_000 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  it('takes a FIN behind a gap only when the gap has closed', () => {
    const p = new ScriptedPeer();
    const { rec } = p.establish();
    p.send({ flags: 'FA', seq: 11, ack: 1, data: [11, 12] });
    expect(rec.events).toEqual(['connected']);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2, 3, 4, 5] });
    expect(rec.events).toEqual(['connected']);
    p.out();
    p.send({ flags: 'A', seq: 6, ack: 1, data: [6, 7, 8, 9, 10] });
    expect(p.one().ack).toBe(14);
    expect([...rec.bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(rec.events).toEqual(['connected', 'end']);
  });

  it('resets when data comes after the user has closed (RFC 9293 section 3.6.1; RFC 2525 section 2.17)', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.close();
    p.host.pass();
    expect(p.one().flags).toBe('FA');
    p.send({ flags: 'A', seq: 1, ack: 2, data: [1] });
    expect(p.out().at(-1)!.flags).toContain('R');
    expect(p.host.count('tcps_rcvafterclose')).toBe(1);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  it('resets instead of closing when received data was not read (RFC 2525 section 2.17)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    rec.appetite = 0;
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1, 2] });
    p.out();
    so.close();
    p.host.pass();
    expect(p.one().flags).toBe('RA');
  });

  it('sends RST on abort and tells the user last', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.abort();
    p.host.pass();
    expect(p.one().flags).toBe('RA');
    expect(rec.events).toEqual(['connected', 'closed 0']);
  });

  it('answers a repeated FIN in TIME-WAIT and starts 2 MSL again (RFC 9293 section 3.10.7.4, eighth)', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.shutdown();
    p.host.pass();
    p.out();
    p.send({ flags: 'FA', seq: 1, ack: 2 });
    p.out();
    p.advance(50_000 * MS);
    p.send({ flags: 'FA', seq: 1, ack: 2 });
    expect(p.one().ack).toBe(2);
    p.advance(50_000 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(1);
    p.advance(11_000 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(0);
  });

  it('ignores a RST in TIME-WAIT (RFC 1337) and lets a newer SYN open a new connection (RFC 9293 section 3.6.1)', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.shutdown();
    p.host.pass();
    p.out();
    p.send({ flags: 'FA', seq: 1, ack: 2 });
    p.out();
    p.send({ flags: 'R', seq: 2 });
    expect(p.host.st.tcp.tcb.count).toBe(1);
    expect(p.host.count('tcps_tw_rst')).toBe(1);
    p.send({ flags: 'S', seq: 5000, mss: 1460 });
    expect(p.one().flags).toBe('SA');
    expect(p.host.count('tcps_tw_recycled')).toBe(1);
  });

  it('gives FIN-WAIT-2 up after 60 s when nobody reads any more (net.inet.tcp.finwait2_timeout)', () => {
    const p = new ScriptedPeer({ tune: { tcp_fast_finwait2_recycle: 1 } });
    const { so } = p.establish();
    so.close();
    p.host.pass();
    p.send({ flags: 'A', seq: 1, ack: 2 });
    p.advance(59_000 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(1);
    p.advance(2_000 * MS);
    expect(p.host.st.tcp.tcb.count).toBe(0);
    expect(p.host.count('tcps_finwait2_drops')).toBe(1);
  });
});
