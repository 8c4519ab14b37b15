import { describe, expect, it } from 'vitest';
import { range, Sender, type SenderOptions } from '../../../lab/sender.ts';

/** Twenty segments in flight, sent a round trip ago: ssthresh will be ten. Losses by counting, so that time plays no part. */
function sender(o: SenderOptions = {}) {
  const s = new Sender({ ...o, tune: { tcp_initcwnd_segments: 20, tcp_rack: 0, ...(o.tune ?? {}) } });
  s.write(60);
  expect(s.sent()).toEqual(range(0, 20));
  return s.wait(100);
}

describe('proportional rate reduction (RFC 9937 section 6)', () => {
  it('sends in proportion: one for each two delivered, where the window halves', () => {
    const s = sender();
    s.ack(0, [[1, 2]]);
    s.ack(0, [[1, 3]]);
    expect(s.sent()).toEqual([20, 21]);
    const each: number[] = [];
    // RecoverFS is 22 - 3 + 1 = 20. Of prr_delivered n, n * 10 / 20 may have gone; the first goes at once.
    for (let i = 4; i <= 12; i++) {
      s.ack(0, [[1, i]]);
      each.push(s.sent().length);
    }
    expect(each).toEqual([1, 0, 0, 1, 0, 1, 0, 1, 0]);
  });

  it('sends the first lost segment at once whatever the proportion', () => {
    const s = sender();
    // 1 * 10 / 20 is half a segment.
    s.ack(0, [[1, 2]]).ack(0, [[1, 3]]);
    s.sent();
    s.ack(0, [[1, 4]]);
    expect(s.sent()).toEqual([0]);
  });

  it('sends no more than what is delivered while less than ssthresh is in flight (CRB)', () => {
    const s = sender();
    // 0 to 14 are lost: two segments in flight of ten.
    s.ack(0, [[15, 18]]);
    expect(s.sent()).toEqual([0, 1, 2]);
    s.ack(0, [[15, 20]]);
    expect(s.sent()).toEqual([3, 4]);
  });

  it('sends one more where snd_una advances and no loss is found (SSRB)', () => {
    const s = sender();
    s.ack(0, [[15, 20]]);
    expect(s.sent()).toEqual(range(0, 5));
    s.wait(100).ack(1, [[15, 20]]);
    expect(s.sent()).toEqual([5, 6]);
    s.ack(2, [[15, 20]]);
    expect(s.sent()).toEqual([7, 8]);
  });

  it('does not send the one more where the ACK tells of another loss (SafeACK)', () => {
    const s = sender();
    // 12 to 19 are SACKed in two steps: the second finds 9, 10 and 11 lost as well.
    s.ack(0, [[10, 13]]);
    const first = s.sent();
    expect(first).toEqual([0, 1, 2]);
    s.wait(100).ack(1, [
      [17, 20],
      [10, 13],
    ]);
    // Delivered: 0, 17, 18 and 19. Lost by it: 13 to 16. In flight before sending: 1 and 2; ten allowed.
    expect(s.sent().length).toBe(4);
  });

  it('grows no further than ssthresh', () => {
    const s = sender();
    s.ack(0, [[8, 20]]);
    // In flight nothing; delivered twelve, the window ten; eight are lost, then two new.
    expect(s.sent()).toEqual([...range(0, 8), 20, 21]);
    expect(s.segs(s.tp.pipe)).toBe(10);
  });

  it('leaves the window at ssthresh at the end', () => {
    const s = sender();
    s.ack(0, [[1, 4]]);
    expect(s.segs(s.tp.snd_cwnd)).toBeGreaterThan(15);
    s.wait(100).ack(20);
    expect(s.tp.inRecovery).toBe(false);
    expect(s.segs(s.tp.snd_cwnd)).toBe(10);
    expect(s.segs(s.tp.snd_ssthresh)).toBe(10);
  });

  it('counts what was SACKed before recovery as delivered before it', () => {
    const s = sender();
    s.ack(0, [[1, 2]]).ack(0, [[1, 3]]);
    s.sent();
    s.ack(0, [[1, 4]]);
    expect(s.segs(s.tp.prr_delivered)).toBe(1);
    expect(s.segs(s.tp.prr_recover_fs)).toBe(20);
  });

  it('does not move the window with an ACK that delivers nothing', () => {
    const s = sender();
    s.ack(0, [[1, 4]]);
    const cwnd = s.tp.snd_cwnd;
    s.ack(0, [[1, 4]]);
    s.ack(0, [[1, 4]]);
    expect(s.tp.snd_cwnd).toBe(cwnd);
    expect(s.sent()).toEqual([0]);
  });

  it('takes each duplicate ACK for a segment delivered where there is no SACK (section 6.2)', () => {
    const s = sender({ sack: false });
    for (let i = 0; i < 3; i++) s.ack(0);
    s.sent();
    const each: number[] = [];
    for (let i = 0; i < 6; i++) {
      s.ack(0);
      each.push(s.sent().length);
    }
    expect(each).toEqual([0, 0, 1, 0, 1, 0]);
  });
});
