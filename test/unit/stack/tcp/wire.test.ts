/** Choices of docs/wire-behaviour.md that no other test shows: what the segments look like. */
import { describe, expect, it } from 'vitest';
import { connect } from '../../../../src/stack/socket/socket.ts';
import { parseIp } from '../../../lab/frames.ts';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { Recorder } from '../../../lab/tcpuser.ts';

const frames = (p: ScriptedPeer) => p.host.link.sent.splice(0).map((f) => parseIp(f.bytes));

describe('what goes over the wire', () => {
  it('the window shift lets a buffer of kern.ipc.maxsockbuf be offered whole', () => {
    for (const [most, shift] of [
      [65535, 0],
      [65536, 1],
      [2 * 1024 * 1024, 6],
      [1024 * 1024 * 1024, 14],
    ] as const) {
      const p = new ScriptedPeer({ tune: { ipc_maxsockbuf: most } });
      p.connect();
      expect(p.one().wscale).toBe(shift);
    }
  });

  it('the timestamps of two connections begin apart, and count milliseconds', () => {
    const p = new ScriptedPeer().listen();
    p.send({ flags: 'S', ts: [7, 0] });
    const [first] = p.one().ts!;
    p.send({ flags: 'S', ts: [7, 0], sport: 40001 });
    const [second] = p.one().ts!;
    expect(Math.abs((first - second) | 0)).toBeGreaterThan(1000);
    p.advance(1_000_000);
    const again = p.out();
    expect(again.map((o) => (o.ts![0] - first) | 0)).toContain(1000);
    const a = new ScriptedPeer();
    a.connect();
    expect(a.one().ts![1]).toBe(0);
  });

  it('segments have DF and identification 0; without path MTU discovery no DF, and a random one', () => {
    const p = new ScriptedPeer();
    p.connect();
    expect(frames(p).map((f) => [f.off, f.id])).toEqual([[0x4000, 0]]);
    const q = new ScriptedPeer({ tune: { tcp_path_mtu_discovery: 0 } });
    q.connect();
    q.advance(1_100_000);
    const [one, two] = frames(q);
    expect([one!.off, two!.off]).toEqual([0, 0]);
    expect(one!.id).not.toBe(two!.id);
  });

  it('a RST without a connection has no options, and window 0', () => {
    const p = new ScriptedPeer();
    p.send({ flags: 'S', mss: 1460, wscale: 7, sackok: true, ts: [1, 0] });
    const o = p.one();
    expect([o.flags, o.optionKinds, o.win]).toEqual(['RA', [], 0]);
  });

  it('local ports come from 49152 to 65535', () => {
    const ports = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const p = new ScriptedPeer();
      p.host.st.tcp.nextPort = seed * 7919;
      const so = connect(p.host.st, { faddr: 0xc0000202 | 0, fport: 80 }, new Recorder());
      ports.add(so.localPort);
    }
    for (const port of ports) {
      expect(port).toBeGreaterThanOrEqual(49152);
      expect(port).toBeLessThanOrEqual(65535);
    }
    expect(ports.size).toBeGreaterThan(20);
  });
});
