import { describe, expect, it } from 'vitest';
import { ipHeaders } from '../../../lab/needfrag.ts';
import { Sender, type SenderOptions } from '../../../lab/sender.ts';

const ON = { tcp_pmtud_blackhole_detection: 1, tcp_tlp: 0 };

/** A sender whose segments nobody answers. */
function silent(o: SenderOptions = {}): Sender {
  const s = new Sender({ ...o, tune: { ...ON, ...(o.tune ?? {}) } });
  s.write(4);
  s.p.host.link.sent.length = 0;
  return s;
}

/** Packet size and don't-fragment of the first segment that goes again at each of the next `n` timeouts. */
function timeouts(s: Sender, n: number): [number, boolean][] {
  const seen: [number, boolean][] = [];
  for (let i = 0; i < n; i++) {
    const before = s.count('tcps_rexmttimeo');
    while (s.count('tcps_rexmttimeo') === before) s.wait(20);
    const h = ipHeaders(s.p)[0]!;
    seen.push([h.total, h.df]);
  }
  return seen;
}

const counts = (s: Sender): number[] =>
  ['', '_min_mss']
    .map((k) => s.count(`tcps_pmtud_blackhole_activated${k}`))
    .concat(s.count('tcps_pmtud_blackhole_failed'));

describe('net.inet.tcp.pmtud_blackhole_detection (RFC 2923 section 2.1)', () => {
  it('tries pmtud_blackhole_mss after two timeouts, mssdflt without DF after two more, and gives up after another two', () => {
    const s = silent();
    expect(timeouts(s, 7)).toEqual([
      [1500, true],
      [1240, true],
      [1240, true],
      [576, false],
      [576, false],
      // The piece that waits was cut before.
      [576, true],
      [576, true],
    ]);
    expect(s.tp.t_maxseg).toBe(1460);
    expect(counts(s)).toEqual([1, 1, 1]);
  });

  it('is off by default, as in FreeBSD', () => {
    const s = silent({ tune: { tcp_pmtud_blackhole_detection: 0 } });
    expect(timeouts(s, 5)).toEqual(Array(5).fill([1500, true]));
  });

  it.each([
    [1, 1240],
    [2, 1240],
    [3, 1500],
  ])('set to %i tries packets of %i bytes here: 2 is IPv4 only, 3 IPv6 only', (mode, total) => {
    const s = silent({ tune: { tcp_pmtud_blackhole_detection: mode } });
    expect(timeouts(s, 2)[1]).toEqual([total, true]);
  });

  it('keeps the size that gets through', () => {
    const s = silent();
    timeouts(s, 2);
    s.p.send({ flags: 'A', seq: 1, ack: 1201, win: 65535 });
    ipHeaders(s.p);
    s.p.send({ flags: 'A', seq: 1, ack: 1 + 4 * 1460, win: 65535 });
    s.write(2);
    expect(ipHeaders(s.p)[0]).toMatchObject({ total: 1240, df: true });
    expect(counts(s)).toEqual([1, 0, 0]);
  });

  it('takes the sizes of net.inet.tcp.pmtud_blackhole_mss and net.inet.tcp.mssdflt', () => {
    const s = silent({ tune: { tcp_pmtud_blackhole_mss: 1000, tcp_mssdflt: 400 } });
    expect(timeouts(s, 4).map(([n]) => n)).toEqual([1500, 1040, 1040, 440]);
  });

  it('goes to mssdflt at once where that is not below pmtud_blackhole_mss, or segments are not above it', () => {
    for (const o of [{ tune: { tcp_mssdflt: 1300 } }, { mss: 1200 }] as SenderOptions[]) {
      const s = silent(o);
      expect(timeouts(s, 4).map(([n, df]) => [n - 40 - (o.tune?.tcp_mssdflt ?? 536), df])[1]).toEqual([0, false]);
      expect(counts(s)).toEqual([0, 1, 1]);
    }
  });

  it('does not suspect a black hole where only a small segment is lost', () => {
    const s = new Sender({ tune: ON });
    s.rec.sendAll(new Uint8Array(100));
    s.p.host.pass();
    ipHeaders(s.p);
    expect(timeouts(s, 5)).toEqual(Array(5).fill([140, true]));
    expect(counts(s)).toEqual([0, 0, 0]);
  });

  it('does not without path MTU discovery: routers fragment then', () => {
    const s = silent({ tune: { tcp_path_mtu_discovery: 0 } });
    expect(timeouts(s, 3)).toEqual(Array(3).fill([1500, false]));
  });

  it.each([
    [1, [1500, 1040, 1040, 940]],
    [2, [1500, 1500, 1500, 1500]],
    [3, [1500, 1040, 1040, 940]],
  ])('set to %i, with v6pmtud_blackhole_mss and v6mssdflt, of a connection whose address is IPv6', (mode, sizes) => {
    const s = silent({
      tune: { tcp_pmtud_blackhole_detection: mode, tcp_v6pmtud_blackhole_mss: 1000, tcp_v6mssdflt: 900 },
    });
    // There is no IPv6 yet: the address of an IPv4 connection is made one.
    s.tp.t_inpcb!.f2 = 0x20010db8;
    expect(timeouts(s, 4).map(([n]) => n)).toEqual(sizes);
  });

  it('works while the FIN is under way too', () => {
    const s = silent();
    s.so.close();
    expect(timeouts(s, 2)[1]).toEqual([1240, true]);
  });
});
