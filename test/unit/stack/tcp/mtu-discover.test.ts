import { describe, expect, it } from 'vitest';
import { ipHeaders, needfrag } from '../../../lab/needfrag.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Sender, type SenderOptions } from '../../../lab/sender.ts';

/**
 * IP_MTU_DISCOVER (ip(7) of Linux) for TCP. What each value does is what Linux 6.18 does (test/lab/endpoint/scripts.py, the script of that name):
 * 0 don't, 1 want, 2 do, 3 probe, 4 interface, 5 omit.
 */

const DF = [1, 2];
const HEEDS = [1, 2, 3];
const ALL = [0, 1, 2, 3, 4, 5];

function sender(mtuDiscover: number, o: SenderOptions = {}): Sender {
  const s = new Sender(o);
  s.so.setOptions({ mtuDiscover });
  return s;
}

describe('mtuDiscover', () => {
  it.each(ALL)("%i: don't-fragment is set on data and on bare ACKs with 1 and 2 alone", (how) => {
    const s = sender(how);
    s.write(2);
    s.p.host.pass();
    s.p.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    s.p.advance(100_000);
    const headers = ipHeaders(s.p);
    expect(headers.length).toBeGreaterThan(2);
    expect(new Set(headers.map((h) => h.df))).toEqual(new Set([DF.includes(how)]));
  });

  it.each(ALL)('%i: ICMP makes segments smaller with 1, 2 and 3; it is remembered for others in any case', (how) => {
    const s = sender(how);
    s.write(4);
    s.out();
    needfrag(s.p, { seq: 1, mtu: 1400 });
    expect(s.tp.maxseg).toBe(HEEDS.includes(how) ? 1360 : 1460);
    expect(s.count('tcps_mtudisc')).toBe(HEEDS.includes(how) ? 1 : 0);
    expect(s.count('tcps_icmpmtuignored')).toBe(HEEDS.includes(how) ? 0 : 1);
    expect(s.p.host.st.tcp.hostcache.pathMtu(s.tp.t_inpcb!)).toBe(1400);
  });

  it('of one that heeds none does not spread an MTU below what was acknowledged (RFC 5927 section 7.2)', () => {
    const s = sender(0);
    s.write(4);
    s.out();
    s.p.send({ flags: 'A', seq: 1, ack: 1 + 2 * 1460, win: 65535 });
    needfrag(s.p, { seq: 1 + 2 * 1460, mtu: 1400 });
    expect(s.p.host.st.tcp.hostcache.pathMtu(s.tp.t_inpcb!)).toBe(0);
  });

  it.each(ALL)('%i of a listener holds for its SYN,ACK', (how) => {
    const p = new ScriptedPeer({}).listen();
    p.listener!.setOptions({ mtuDiscover: how });
    p.send({ flags: 'S', mss: 1460 });
    expect(ipHeaders(p).map((h) => h.df)).toEqual([DF.includes(how)]);
  });

  it("does without probes where segments may be cut (RFC 4821 needs don't-fragment)", () => {
    const p = new ScriptedPeer({ tune: { tcp_plpmtud_enable: 1 } }).listen();
    p.listener!.setOptions({ mtuDiscover: 0 });
    p.send({ flags: 'S', mss: 1460, sackok: true });
    p.out();
    p.send({ flags: 'A', seq: 1, ack: 1 });
    expect(p.accepted[0]!.so!.tp!.plp_state).toBe(0);
    expect(p.accepted[0]!.so!.tp!.maxseg).toBe(1460);
  });

  it("net.inet.tcp.path_mtu_discovery 0 is off for all: no segment has don't-fragment, not the SYN,ACK and not a RST", () => {
    const p = new ScriptedPeer({ tune: { tcp_path_mtu_discovery: 0 } }).listen();
    p.send({ flags: 'S', mss: 1460 });
    p.send({ flags: 'A', seq: 1, ack: 1, data: [1] });
    p.advance(100_000);
    p.send({ flags: 'A', seq: 1, ack: 1, sport: 9 });
    const headers = ipHeaders(p);
    expect(headers).toHaveLength(3);
    expect(headers.some((h) => h.df)).toBe(false);
  });

  it.each([-1, 6, 1.5])('%d is refused', (mtuDiscover) => {
    const s = new Sender({});
    expect(() => s.so.setOptions({ mtuDiscover })).toThrow(`mtuDiscover=${mtuDiscover}: 0..5`);
  });
});
