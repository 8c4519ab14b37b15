import { describe, expect, test } from 'vitest';
import { siftrs } from '../../../src/metrics/layout.ts';
import { FlowTable } from '../../../src/siftr/flow-table.ts';
import { SiftrHook } from '../../../src/siftr/hook.ts';
import { createRing, KIND_GONE, R_KIND, R_SEC, R_USEC, RecordConsumer } from '../../../src/siftr/record.ts';
import { createSiftrShared } from '../../../src/siftr/shared.ts';
import { open, pattern, type Recorder, serve } from '../../lab/tcpuser.ts';
import { ADDR_B, type Side, TwoStacks } from '../../lab/twostacks.ts';

const SECOND = 1_000_000;

/** SIFTR's hook on one side, and its ring's other end. */
class Tap {
  readonly hook: SiftrHook;
  readonly table = new FlowTable();
  #ring: RecordConsumer;

  constructor(side: Side, records = 1024) {
    const ring = createRing(records);
    this.hook = new SiftrHook(side.st, ring, createSiftrShared());
    this.hook.hook(side.st.clock.wallUs());
    this.#ring = new RecordConsumer(ring);
  }

  setRing(records: number): void {
    const ring = createRing(records);
    this.hook.setRing(ring);
    this.#ring = new RecordConsumer(ring);
  }

  uncut(): void {
    this.#ring.uncut();
  }

  /** Takes what there is as the writer does; gives the times of the packets, µs. */
  take(): number[] {
    this.hook.publish();
    const ring = this.#ring;
    const times: number[] = [];
    ring.refresh();
    for (let r = ring.peek(); r >= 0; r = ring.peek()) {
      const w = ring.words;
      if ((w[r + R_KIND]! & KIND_GONE) !== 0) {
        this.table.gone(w, r);
      } else {
        this.table.find(w, r);
        times.push(w[r + R_SEC]! * 1e6 + w[r + R_USEC]!);
      }
      ring.advance();
    }
    ring.release();
    return times;
  }
}

function setUp() {
  const net = new TwoStacks({});
  const tap = new Tap(net.b);
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  const connect = () => {
    const n = accepted.length;
    const user = open(net.a, ADDR_B, 80);
    net.run(SECOND, () => user.has('connected') && accepted.length > n);
    user.sendAll(pattern(100), false);
    net.run(SECOND / 2);
    return { user, peer: accepted.at(-1)! };
  };
  return { net, tap, connect };
}

describe('the hook and connections that end (spec/siftr.md section 14 item 4)', () => {
  test('leaves a note when a connection is gone, so that the writer can free its entry; the flow stays listed', () => {
    const t = setUp();
    const kept = t.connect();
    const { user, peer } = t.connect();
    t.tap.take();
    expect(t.tap.table.size).toBe(2);
    user.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND / 4);
    peer.sendAll(new Uint8Array(0), true);
    t.net.run(SECOND);
    t.tap.take();
    expect(t.tap.table.size).toBe(1);
    expect(t.tap.table.flows.size).toBe(2);
    kept.user.so!.abort();
    t.net.run(SECOND);
    t.tap.take();
    expect(t.tap.table.size).toBe(0);
    expect(t.tap.table.list().split(',')).toHaveLength(3);
  });

  test('the notes are no packets: they are in no counter', () => {
    const t = setUp();
    const { user } = t.connect();
    user.so!.abort();
    t.net.run(SECOND);
    const { cnt } = t.net.b.st;
    const seen = cnt[siftrs.siftrs_n_in]! + cnt[siftrs.siftrs_n_out]!;
    const skipped = ['inpcb', 'tcpcb', 'malloc'].flatMap((why) => [
      cnt[siftrs[`siftrs_nskip_in_${why}` as keyof typeof siftrs]]!,
      cnt[siftrs[`siftrs_nskip_out_${why}` as keyof typeof siftrs]]!,
    ]);
    expect(t.tap.take()).toHaveLength(seen - skipped.reduce((a, b) => a + b, 0));
  });
});

describe('a cut between two cycles (spec/siftr.md section 14 item 9)', () => {
  test('keeps what comes after it in the ring until the next cycle begins, none of it earlier than the enable time', () => {
    const t = setUp();
    const { user } = t.connect();
    const { st } = t.net.b;
    // An enable line that was written a little ahead of this shard's clock.
    const enableUs = st.clock.wallUs() + 1000;
    const counts = t.tap.hook.cut(enableUs);
    user.sendAll(pattern(5000), false);
    t.net.run(500);
    user.sendAll(pattern(5000), false);
    t.net.run(SECOND / 2);
    const before = t.tap.take();
    expect(before.length).toBe(counts.numIn + counts.numOut - counts.skippedInpcbIn - counts.skippedInpcbOut);
    expect(Math.max(...before)).toBeLessThan(enableUs);
    expect(t.tap.take()).toEqual([]);
    t.tap.uncut();
    const after = t.tap.take();
    expect(after.length).toBe(
      st.cnt[siftrs.siftrs_n_in]! + st.cnt[siftrs.siftrs_n_out]! - counts.numIn - counts.numOut,
    );
    expect(after.length).toBeGreaterThan(3);
    expect(Math.min(...after)).toBeGreaterThanOrEqual(enableUs);
  });
});

describe('another ring (spec/siftr.md section 14 item 1)', () => {
  test('is taken between cycles only', () => {
    const t = setUp();
    expect(() => t.tap.setRing(8)).toThrow('between cycles only');
    t.tap.hook.unhook();
    t.tap.setRing(8);
    t.tap.hook.hook(t.net.b.st.clock.wallUs());
    const { user } = t.connect();
    user.sendAll(pattern(50000), false);
    t.net.run(SECOND);
    expect(t.tap.take()).toHaveLength(8);
    const { cnt } = t.net.b.st;
    expect(cnt[siftrs.siftrs_queue_high_water]).toBe(8);
    expect(cnt[siftrs.siftrs_queue_drops_in]! + cnt[siftrs.siftrs_queue_drops_out]!).toBeGreaterThan(0);
  });
});
