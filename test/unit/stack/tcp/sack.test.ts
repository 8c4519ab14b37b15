import { describe, expect, it } from 'vitest';
import { ScriptedPeer } from '../../../lab/segments.ts';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';
import { pattern } from '../../../lab/tcpuser.ts';

const S = 100;

/** A receiver of ours with a peer that sends segments of `S` bytes; the n-th begins at 1 + n * S. */
function receiver(o: { sackok?: boolean; ts?: boolean } = {}) {
  const p = new ScriptedPeer();
  const { rec, so } = p.establish({
    sackok: o.sackok ?? true,
    ...(o.ts ? { ts: [10, 0] as [number, number] } : {}),
  });
  let tsval = 11;
  const data = (n: number) => {
    p.send({
      flags: 'A',
      seq: 1 + n * S,
      ack: 1,
      data: pattern(S),
      ...(o.ts ? { ts: [tsval++, 0] as [number, number] } : {}),
    });
    return p.out().map((x) => x.sack.map(([a, b]) => [(a - 1) / S, (b - 1) / S]));
  };
  return { p, rec, so, data };
}

/** Ten segments in flight, no probes; loss by counting unless `tune` says otherwise. */
function sender(o: SenderOptions = {}) {
  const s = new Sender({ ...o, tune: { tcp_rack: 0, tcp_tlp: 0, ...(o.tune ?? {}) } });
  s.write(30);
  expect(s.sent()).toEqual(range(0, 10));
  return s.wait(100);
}

describe('the receiver of SACK (RFC 2018)', () => {
  it('permits SACK in its SYN and in no other segment (section 2)', () => {
    const p = new ScriptedPeer();
    p.connect();
    expect(p.one().optionKinds).toContain(4);
    p.send({ flags: 'SA', ack: 1, mss: 1460, sackok: true });
    expect(p.one().optionKinds).not.toContain(4);
  });

  it('reports blocks only to a peer whose SYN permitted it (section 3)', () => {
    expect(receiver({ sackok: false }).data(1)).toEqual([[]]);
    expect(receiver().data(1)).toEqual([[[1, 2]]]);
  });

  it('reports nothing while nothing is missing (section 4)', () => {
    const r = receiver();
    r.data(0);
    r.p.advance(50_000);
    expect(r.p.out().every((o) => o.sack.length === 0)).toBe(true);
  });

  it('names first the block that the segment just received belongs to, then the latest others (section 4)', () => {
    const r = receiver();
    r.data(1);
    expect(r.data(3)).toEqual([
      [
        [3, 4],
        [1, 2],
      ],
    ]);
    expect(r.data(7)).toEqual([
      [
        [7, 8],
        [3, 4],
        [1, 2],
      ],
    ]);
    // Joins the oldest of them.
    expect(r.data(2)).toEqual([
      [
        [1, 4],
        [7, 8],
      ],
    ]);
  });

  it('names as many blocks as fit: four, or three beside timestamps (section 3)', () => {
    for (const ts of [false, true]) {
      const r = receiver({ ts });
      for (const n of [1, 3, 5, 7]) r.data(n);
      expect(r.data(9)[0]!.length).toBe(ts ? 3 : 4);
    }
  });

  it('goes on with the option in every ACK until the gap is closed (section 4)', () => {
    const r = receiver();
    r.data(2);
    expect(r.data(0)).toEqual([[[2, 3]]]);
    expect(r.data(1)).toEqual([[]]);
  });

  it('keeps what it has reported until the gap closes (section 8)', () => {
    const r = receiver();
    for (const n of [5, 3, 1, 4, 2]) r.data(n);
    r.data(0);
    expect(r.rec.received).toBe(6 * S);
  });
});

describe('the receiver of DSACK (RFC 2883 section 4)', () => {
  it('reports what came twice below the acknowledgment, once (section 4.1.1)', () => {
    const r = receiver();
    r.data(0);
    r.p.advance(50_000);
    r.p.out();
    expect(r.data(0)).toEqual([[[0, 1]]]);
    // The next ACK does not repeat it.
    expect(r.data(2)).toEqual([[[2, 3]]]);
    expect(r.p.host.count('tcps_dsack_sent')).toBe(1);
  });

  it('reports it in front of what is held beyond a gap (section 4.1.1)', () => {
    const r = receiver();
    r.data(0);
    r.data(3);
    expect(r.data(0)).toEqual([
      [
        [0, 1],
        [3, 4],
      ],
    ]);
  });

  it('reports what came twice beyond a gap, and behind it the block that holds it (section 4.2)', () => {
    const r = receiver();
    r.data(1);
    r.data(2);
    r.data(5);
    expect(r.data(2)).toEqual([
      [
        [2, 3],
        [1, 3],
        [5, 6],
      ],
    ]);
  });

  it('reports the part of a segment that came before (section 4.1.2)', () => {
    const r = receiver();
    r.data(0);
    r.p.advance(50_000);
    r.p.out();
    r.p.send({ flags: 'A', seq: 1 + S / 2, ack: 1, data: pattern(S) });
    r.p.advance(50_000);
    expect(r.p.one().sack).toEqual([[1 + S / 2, 1 + S]]);
  });

  it('reports none to a peer that did not permit SACK', () => {
    const r = receiver({ sackok: false });
    r.data(0);
    r.p.advance(50_000);
    r.p.out();
    expect(r.data(0)).toEqual([[]]);
  });
});

describe('the sender of SACK (RFC 2018 section 5)', () => {
  it('does not send again what is SACKed', () => {
    const s = sender();
    s.ack(0, [
      [6, 10],
      [1, 3],
    ]);
    const again: number[] = s.sent().filter((n) => n < 10);
    for (let i = 0; i < 6; i++) {
      s.wait(10).ack(0, [
        [1, 3],
        [6, 10],
      ]);
      again.push(...s.sent().filter((n) => n < 10));
    }
    s.wait(100).ack(3, [[6, 10]]);
    again.push(...s.sent().filter((n) => n < 10));
    s.wait(100).ack(4, [[6, 10]]);
    again.push(...s.sent().filter((n) => n < 10));
    expect(again.sort((a, b) => a - b)).toEqual([0, 3, 4, 5]);
  });

  it('sends SACKed data again after a timeout when the peer has thrown it away (section 8)', () => {
    const s = sender();
    s.ack(0, [[1, 10]]);
    s.sent();
    // The gap is filled, but what was SACKed is not acknowledged: reneging.
    s.wait(100).ack(1);
    s.sent();
    s.wait(2000);
    expect(s.sent()[0]).toBe(1);
    s.wait(100).ack(2);
    expect(s.sent()).toEqual([2, 3]);
  });

  it('sends what was lost, then SACKed, then thrown away by the peer (section 8)', () => {
    const s = sender();
    s.ack(0, [[7, 10]]);
    expect(s.sent()).toEqual([0, 1, 2]);
    // 3 and 4 waited to be sent again, and were late, not lost; once the gap before them is filled they are not acknowledged.
    s.ack(0, [
      [3, 5],
      [7, 10],
    ]);
    s.sent();
    s.wait(100).ack(3);
    s.sent();
    s.wait(2000);
    expect(s.sent()[0]).toBe(3);
    s.wait(100).ack(4);
    expect(s.sent()[0]).toBe(4);
  });

  it('keeps SACKed data in its buffer until the cumulative ACK covers it (section 8)', () => {
    const s = sender();
    s.ack(0, [[1, 10]]);
    expect(s.so.so_snd.sb_cc).toBe(30 * s.mss);
    s.wait(100).ack(10);
    expect(s.so.so_snd.sb_cc).toBe(20 * s.mss);
  });

  it('takes no block that names what was never sent, or is empty', () => {
    const s = sender();
    s.ack(0, [[25, 28]]);
    expect(s.tp.snd_sacked).toBe(0);
    expect(s.count('tcps_sack_badblock')).toBe(1);
    s.ack(0, [[4, 3]]);
    expect(s.tp.snd_sacked).toBe(0);
  });

  it('takes a block that begins below the cumulative ACK from there on only', () => {
    const s = sender();
    s.ack(4);
    s.sent();
    // Not a DSACK: it ends beyond the ACK.
    s.ack(4, [[3, 6]]);
    expect(s.segs(s.tp.snd_sacked)).toBe(2);
  });

  it('takes blocks of a peer that may not send them for nothing', () => {
    const s = sender({ sack: false });
    s.ack(0, [[1, 10]]);
    expect(s.sent().filter((n) => n < 10)).toEqual([]);
  });
});

describe('DSACK (RFC 2883)', () => {
  it('is a first block below the cumulative ACK (section 4)', () => {
    const s = sender();
    s.ack(5, [[2, 3]]);
    expect(s.count('tcps_dsack_rcvd')).toBe(1);
    expect(s.tp.snd_sacked).toBe(0);
  });

  it('is a first block inside the second (section 4.2)', () => {
    const s = sender();
    s.ack(0, [
      [6, 7],
      [5, 8],
    ]);
    expect(s.count('tcps_dsack_rcvd')).toBe(1);
    expect(s.segs(s.tp.snd_sacked)).toBe(3);
  });

  it('is no block that is only repeated in another order', () => {
    const s = sender();
    s.ack(0, [
      [6, 7],
      [2, 3],
    ]);
    s.ack(0, [
      [2, 3],
      [6, 7],
    ]);
    expect(s.count('tcps_dsack_rcvd')).toBe(0);
  });

  it('is no block of an ACK that later ones have overtaken (section 4: below its own acknowledgment)', () => {
    const s = sender();
    s.ack(5);
    s.ack(1, [[2, 3]]);
    expect(s.count('tcps_dsack_rcvd')).toBe(0);
    s.ack(1, [[0, 1]]);
    expect(s.count('tcps_dsack_rcvd')).toBe(1);
  });

  it('is not believed when it names what was never sent or was sent longer than a window ago', () => {
    const s = sender();
    s.ack(0, [
      [20, 21],
      [19, 22],
    ]);
    expect(s.count('tcps_dsack_rcvd')).toBe(0);
    s.ack(5, [[-10_000, -9_999]]);
    expect(s.count('tcps_dsack_rcvd')).toBe(0);
    expect(s.count('tcps_sack_badblock')).toBeGreaterThanOrEqual(2);
  });
});

describe('loss by counting (RFC 6675, net.inet.tcp.rack 0)', () => {
  it('estimates what is in the pipe: sent, and neither acknowledged, SACKed nor lost (section 4, SetPipe)', () => {
    const s = sender();
    expect(s.segs(s.tp.pipe)).toBe(10);
    s.ack(1, [[5, 6]]);
    // Nine in flight less one; the window is eleven, so three more went: 11 sent beyond what is acknowledged.
    const fresh = s.sent().length;
    expect(s.segs(s.tp.pipe)).toBe(8 + fresh);
    s.ack(1, [[5, 9]]);
    // 1 to 4 are lost: four of the twelve are in the pipe, where five and a half may be. The first goes again and is in it once more.
    expect(fresh).toBe(3);
    expect(s.sent()).toEqual([1]);
    expect(s.segs(s.tp.pipe)).toBe(12 - 4 - 4 + 1);
  });

  it('does not take a segment for lost with two above it, and does with three (section 4, IsLost)', () => {
    const s = sender();
    s.ack(0, [[1, 3]]);
    expect(s.sent()).not.toContain(0);
    s.ack(0, [[1, 4]]);
    expect(s.sent()).toContain(0);
  });

  it('takes a segment for lost below three separate blocks, however small (section 4, IsLost)', () => {
    const s = sender();
    const tiny = (n: number): [number, number] => [n, n + 0.25];
    s.ack(0, [tiny(3), tiny(5)]);
    expect(s.sent()).not.toContain(0);
    s.ack(0, [tiny(7), tiny(5), tiny(3)]);
    expect(s.sent()).toContain(0);
  });

  it('takes for lost only what has enough above it', () => {
    const s = sender();
    s.ack(0, [
      [6, 8],
      [1, 3],
    ]);
    // Four above 0, two above 3, 4 and 5.
    const lost = s.sent().filter((n) => n < 10);
    expect(lost).toEqual([0]);
    expect(s.tp.snd_lost).toBe(0);
  });

  it('sends the lowest lost segment first and new data when none is left (section 4, NextSeg 1 and 2)', () => {
    const s = sender();
    s.ack(0, [
      [4, 6],
      [7, 10],
    ]);
    const all = s.sent();
    for (let i = 0; i < 10; i++) {
      s.wait(20).ack(0, [
        [7, 10],
        [4, 6],
        ...(all.some((n) => n >= 10) ? [[10, Math.max(...all) + 1] as [number, number]] : []),
      ]);
      all.push(...s.sent());
    }
    expect(all.slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect(all.slice(4).every((n) => n >= 6)).toBe(true);
  });

  it('halves once for all losses of one flight (section 5)', () => {
    const s = sender();
    s.ack(0, [[1, 4]]);
    s.sent();
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    s.ack(0, [
      [7, 10],
      [1, 4],
    ]);
    s.sent();
    expect(s.segs(s.tp.snd_ssthresh)).toBe(5);
    expect(s.count('tcps_sack_recovery_episode')).toBe(1);
  });

  it('ends recovery when all that was sent before it is acknowledged (section 5 step A)', () => {
    const s = sender();
    s.ack(0, [[1, 4]]);
    s.sent();
    s.wait(100).ack(9);
    expect(s.tp.inRecovery).toBe(true);
    s.ack(10);
    expect(s.tp.inRecovery).toBe(false);
  });

  it('sends a new segment for each of the first two SACKed (limited transmit, section 5 step 3; RFC 3042)', () => {
    const s = sender();
    s.ack(0, [[1, 2]]);
    expect(s.sent()).toEqual([10]);
    s.ack(0, [[1, 3]]);
    expect(s.sent()).toEqual([11]);
    expect(s.segs(s.tp.snd_cwnd)).toBe(10);
  });

  it('does not time retransmissions by their count when RACK is off: a retransmission is not found lost before the timeout', () => {
    const s = sender();
    s.ack(0, [[1, 4]]);
    expect(s.sent()).toContain(0);
    s.wait(100).ack(0, [[1, 10]]);
    expect(s.sent()).not.toContain(0);
  });
});
