/** What a user sets of the IP header (RFC 9293 section 3.9.2), and what the user hears of faults (section 3.9.1.8, 3.8.3). */
import { describe, expect, it } from 'vitest';
import { listen } from '../../../../src/stack/socket/listener.ts';
import { connect } from '../../../../src/stack/socket/socket.ts';
import { arp, ether, icmp, ipv4, OUR_MAC, PEER_MAC, parseIp, tcp } from '../../../lab/frames.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { pattern, Recorder } from '../../../lab/tcpuser.ts';

const SECOND = 1_000_000;
const EHOSTUNREACH = 113;
const ECONNREFUSED = 111;
const ETIMEDOUT = 110;

const frames = (p: ScriptedPeer) => p.host.link.sent.splice(0).map((f) => parseIp(f.bytes));

/** An ICMP error about the segment with the number `seq` of the connection. */
function icmpAbout(p: ScriptedPeer, type: number, code: number, seq: number): void {
  const quoted = ipv4(
    { proto: 6, src: '192.0.2.1', dst: '192.0.2.2' },
    tcp({ src: '192.0.2.1', dst: '192.0.2.2', sport: p.dport, dport: p.sport, seq: (p.iss + seq) >>> 0, flags: 16 }),
  );
  const message = icmp(type, code, [0, 0, 0, 0, ...quoted]);
  p.host.link.inject(ether({ dst: OUR_MAC, src: PEER_MAC }, ipv4({ proto: 1 }, message)));
  p.host.pass();
}

describe('the Differentiated Services field and the time to live', () => {
  it('go with every segment of a connection that is opened with them, from the SYN on (MUST-48, SHLD-22)', () => {
    const p = new ScriptedPeer();
    const rec = new Recorder();
    const so = connect(
      p.host.st,
      { faddr: 0xc0000202 | 0, fport: p.sport, lport: p.dport, options: { tos: 0xb8, ttl: 7 } },
      rec,
    );
    p.host.pass();
    const syn = p.host.link.sent[0]!.bytes;
    p.iss = new DataView(syn.buffer, syn.byteOffset).getUint32(38);
    expect(frames(p).map((f) => [f.tos, f.ttl])).toEqual([[0xb8, 7]]);
    p.send({ flags: 'SA', ack: 1, mss: 1460 });
    so.send(pattern(10), 0, 10);
    so.shutdown();
    so.abort();
    p.host.pass();
    const sent = frames(p);
    expect(sent.length).toBeGreaterThan(2);
    for (const f of sent) expect([f.tos, f.ttl]).toEqual([0xb8, 7]);
  });

  it('can be changed while the connection is open (SHLD-21)', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.setOptions({ tos: 0x20, ttl: 3 });
    so.send(pattern(10), 0, 10);
    p.host.pass();
    expect(frames(p).map((f) => [f.tos, f.ttl])).toEqual([[0x20, 3]]);
    so.setOptions({ tos: 0, ttl: 0 });
    p.send({ flags: 'A', seq: 1, ack: 11 });
    so.send(pattern(10), 0, 10);
    p.host.pass();
    expect(frames(p).map((f) => [f.tos, f.ttl])).toEqual([[0, 64]]);
  });

  it('of a listener go with the SYN,ACK and with the connections that it accepts', () => {
    const p = new ScriptedPeer();
    const rec = new Recorder();
    p.listener = listen(p.host.st, { port: p.dport, options: { tos: 0x48, ttl: 9 } }, () => rec);
    p.send({ flags: 'S', mss: 1460 });
    expect(frames(p).map((f) => [f.tos, f.ttl])).toEqual([[0x48, 9]]);
    p.send({ flags: 'R', seq: 50 });
    expect(frames(p).map((f) => [f.tos, f.ttl])).toEqual([[0x48, 9]]);
  });

  it('leave the bits of ECN to ECN (RFC 3168 section 5)', () => {
    const p = new ScriptedPeer();
    const { so } = p.establish();
    so.setOptions({ tos: 0xbb });
    so.send(pattern(10), 0, 10);
    p.host.pass();
    expect(frames(p).map((f) => f.tos)).toEqual([0xb8]);
    const q = new ScriptedPeer();
    const { so: ecn } = q.establish({ flags: 'SEW' });
    ecn.setOptions({ tos: 0xb9 });
    ecn.send(pattern(10), 0, 10);
    q.host.pass();
    // ECT(0) beside EF.
    expect(frames(q).map((f) => f.tos)).toEqual([0xba]);
  });

  it.each([{ tos: 256 }, { tos: -1 }, { ttl: 256 }, { ttl: -1 }])('%o is refused', (options) => {
    const { so } = new ScriptedPeer().establish();
    expect(() => so.setOptions(options)).toThrow(/EINVAL/);
  });
});

describe('faults that a connection survives (MUST-47, SHLD-20, SHLD-25, MUST-56)', () => {
  it.each([
    ['net unreachable', 3, 0, 101],
    ['host unreachable', 3, 1, EHOSTUNREACH],
    ['source route failed', 3, 5, EHOSTUNREACH],
    ['port unreachable', 3, 3, ECONNREFUSED],
    ['time exceeded', 11, 0, EHOSTUNREACH],
    ['parameter problem', 12, 0, EHOSTUNREACH],
  ])('%s is told and does not end an established connection', (_name, type, code, errno) => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.send(pattern(10), 0, 10);
    p.host.pass();
    icmpAbout(p, type, code, 1);
    expect(rec.softErrors).toEqual([errno]);
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 11 });
    expect([rec.events, so.sendQueued]).toEqual([['connected'], 0]);
  });

  it.each([
    ['net unreachable', 3, 0, 101],
    ['time exceeded', 11, 0, EHOSTUNREACH],
    ['parameter problem', 12, 0, EHOSTUNREACH],
  ])('%s is told and does not end an attempt to connect', (_name, type, code, errno) => {
    const p = new ScriptedPeer();
    const { rec } = p.connect();
    p.out();
    icmpAbout(p, type, code, 0);
    expect([rec.softErrors, rec.events]).toEqual([[errno], []]);
    p.send({ flags: 'SA', ack: 1, mss: 1460 });
    expect(rec.events).toEqual(['connected']);
  });

  it('source quench is not listened to (MUST-55)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.send(pattern(10), 0, 10);
    p.host.pass();
    p.out();
    const cwnd = so.tp!.snd_cwnd;
    icmpAbout(p, 4, 0, 1);
    expect([p.out(), rec.softErrors, so.tp!.snd_cwnd]).toEqual([[], [], cwnd]);
  });

  it('is the reason of the timeout that follows (RFC 1122 section 4.2.3.9)', () => {
    const p = new ScriptedPeer();
    const { rec, so } = p.establish();
    so.send(pattern(10), 0, 10);
    p.host.pass();
    icmpAbout(p, 3, 1, 1);
    p.advance(1000 * SECOND);
    expect(rec.events.at(-1)).toBe(`closed ${EHOSTUNREACH}`);
  });
});

describe('R1 (section 3.8.3, MUST-20)', () => {
  it('is told after three retransmissions without an answer, once (SHLD-9, SHLD-10)', () => {
    const p = new ScriptedPeer({ tune: { tcp_tlp: 0 } });
    const { rec, so } = p.establish();
    so.send(pattern(10), 0, 10);
    p.host.pass();
    let sent = 0;
    while (rec.softErrors.length === 0) {
      p.advance(10_000);
      sent += p.out().length;
    }
    expect([sent, rec.softErrors]).toEqual([4, [ETIMEDOUT]]);
    p.advance(30 * SECOND);
    expect(rec.softErrors).toEqual([ETIMEDOUT]);
    p.send({ flags: 'A', seq: 1, ack: 11 });
    expect(rec.events).toEqual(['connected']);
  });

  it('asks the neighbour whether it is still there, and looks for it anew where it is not (RFC 1122 section 3.3.1.4)', () => {
    const p = new ScriptedPeer({ tune: { tcp_tlp: 0 } });
    const { rec, so } = p.establish();
    so.send(pattern(10), 0, 10);
    p.host.pass();
    p.out();
    // Nothing answers from here on, neither TCP nor the neighbour.
    p.host.run(60 * SECOND);
    const asked = p.host.link.sent.map((f) => f.bytes).filter((b) => b[13] === 6);
    const toPeer = asked.filter((b) => b[0] === 2);
    const toAll = asked.filter((b) => b[0] === 0xff);
    expect([toPeer.length > 0, toAll.length > 0]).toEqual([true, true]);
    // The neighbour is back at another address: the connection goes on there.
    p.host.link.sent.length = 0;
    const mac = '02:00:00:00:00:77';
    p.host.link.inject(
      ether({ type: 0x0806, src: mac }, arp({ op: 2, sha: mac, spa: '192.0.2.2', tha: OUR_MAC, tpa: '192.0.2.1' })),
    );
    p.host.run(120 * SECOND);
    const again = p.host.link.sent.map((f) => f.bytes).filter((b) => b[13] === 0);
    expect(again.length).toBeGreaterThan(0);
    for (const b of again) expect(b[5]).toBe(0x77);
    p.send({ flags: 'A', seq: 1, ack: 11 });
    expect(rec.events).toEqual(['connected']);
  });
});
