import { describe, expect, test } from 'vitest';
import { BPF_DIR_IN, BPF_DIR_OUT, bpfAttach, bpfDetach, type Tap } from '../../../src/stack/net/bpf-tap.ts';
import { inetAton } from '../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../src/stack/net/ip-output.ts';
import { ether, icmp, ipv4, ramp } from '../../lab/frames.ts';
import { TestHost } from '../../lab/memlink.ts';

function setup(o: ConstructorParameters<typeof TestHost>[0] = {}) {
  const h = new TestHost(o);
  h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
  const send = (n = 1, prio = 3) => {
    for (let i = 0; i < n; i++) {
      const m = h.pool.get()!;
      m.len = 26;
      m.prio = prio;
      ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 99, 0, 0, true, null, null);
    }
  };
  return { h, send };
}

const txq = (h: TestHost) => {
  const [packets, bytes, qdrops, errors, qlen, maxqlen, oactive, oactives] = h.txq;
  return { packets, bytes, qdrops, errors, qlen, maxqlen, oactive, oactives };
};

const ping = ether({}, ipv4({ proto: 1 }, icmp(8, 0, ramp(12))));

describe('starting the transmitter (T10, T11)', () => {
  test('fewer than 16 packets wait for the end of the pass, the sixteenth starts at once', () => {
    const { h, send } = setup();
    send(15);
    expect(h.link.sent).toHaveLength(0);
    expect(txq(h)).toMatchObject({ packets: 15, bytes: 15 * 60, qlen: 15 });
    send(1);
    expect(h.link.sent).toHaveLength(16);
    send(3);
    h.st.flush();
    expect(h.link.sent).toHaveLength(19);
    expect(txq(h)).toEqual({
      packets: 19,
      bytes: 19 * 60,
      qdrops: 0,
      errors: 0,
      qlen: 0,
      maxqlen: 256,
      oactive: 0,
      oactives: 0,
    });
    expect(h.leaked()).toBe(0);
  });

  test('a full ring sets oactive once and keeps the packets; a completion restarts', () => {
    const { h, send } = setup();
    h.link.txSlots = 4;
    h.link.autoComplete = false;
    send(10);
    h.st.flush();
    expect(h.link.sent).toHaveLength(4);
    expect(txq(h)).toMatchObject({ qlen: 6, oactive: 1, oactives: 1 });
    h.st.flush();
    send(1);
    h.st.flush();
    expect(txq(h)).toMatchObject({ qlen: 7, oactive: 1, oactives: 1 });
    h.link.complete(3);
    h.st.flush();
    expect(h.link.sent).toHaveLength(7);
    expect(txq(h)).toMatchObject({ qlen: 4, oactive: 1, oactives: 2 });
    for (let i = 0; i < 3; i++) {
      h.link.complete();
      h.st.flush();
    }
    expect(h.link.sent).toHaveLength(11);
    expect(txq(h)).toMatchObject({ qlen: 0, oactive: 0, oactives: 2, qdrops: 0 });
    expect(h.leaked()).toBe(0);
  });

  test('packets that the link refuses although it has room are errors, not qdrops', () => {
    const { h, send } = setup();
    h.link.takes = 2;
    send(5);
    h.st.flush();
    expect(txq(h)).toMatchObject({ packets: 5, errors: 3, qdrops: 0, qlen: 0 });
    expect(h.leaked()).toBe(0);
  });

  test('higher priorities leave first', () => {
    const { h, send } = setup();
    send(2, 3);
    send(1, 6);
    const seen: number[] = [];
    bpfAttach(h.ifp, {
      tap: (m) => {
        seen.push(m.prio);
        return false;
      },
    });
    h.st.flush();
    expect(seen).toEqual([6, 3, 3]);
  });
});

describe('senders that stop at a half full queue', () => {
  test('are resumed once by flush, when the queue has fallen below half', () => {
    const { h, send } = setup({ maxlen: 8 });
    const resumed: number[] = [];
    h.st.ifqResume = (ifp) => resumed.push(ifp.ifq.len);
    h.link.txSlots = 2;
    h.link.autoComplete = false;
    send(3);
    h.st.flush();
    h.link.complete();
    h.st.flush();
    expect(resumed).toEqual([]);
    send(6);
    h.st.flush();
    expect(resumed).toEqual([]);
    h.link.complete();
    h.st.flush();
    h.link.complete();
    h.st.flush();
    expect(resumed).toHaveLength(1);
    expect(resumed[0]).toBeLessThan(4);
    h.link.complete();
    h.st.flush();
    expect(resumed).toHaveLength(1);
  });

  test('what they send then goes out in the same flush, and flush says when there is still more', () => {
    const { h, send } = setup({ maxlen: 8 });
    let left = 100;
    h.st.ifqResume = () => {
      const n = Math.min(4, left);
      left -= n;
      send(n);
    };
    send(4);
    let flushes = 1;
    while (h.st.flush()) flushes++;
    expect(left).toBe(0);
    expect(h.link.sent).toHaveLength(104);
    expect(flushes).toBeGreaterThan(1);
    expect(h.leaked()).toBe(0);
  });
});

describe('taps', () => {
  test('see received frames before the queue and sent ones after it, whole', () => {
    const { h } = setup();
    const seen: string[] = [];
    const reader: Tap = {
      tap(m, dir) {
        const type = h.pool.dv.getUint16(m.pos + 12).toString(16);
        seen.push(`${dir === BPF_DIR_IN ? 'in' : dir === BPF_DIR_OUT ? 'out' : '?'} ${m.len} ${type}`);
        return false;
      },
    };
    bpfAttach(h.ifp, reader);
    h.exchange(ping);
    expect(seen).toEqual([`in ${ping.length} 800`, `out ${ping.length} 800`]);
    bpfDetach(h.ifp, reader);
    expect(h.ifp.bpf).toBeNull();
  });

  test('a reader that takes packets away is counted in fdrops; other readers saw them', () => {
    const { h } = setup();
    let seen = 0;
    bpfAttach(h.ifp, { tap: (_m, dir) => dir === BPF_DIR_IN });
    bpfAttach(h.ifp, {
      tap: () => {
        seen++;
        return false;
      },
    });
    expect(h.exchange(ping)).toHaveLength(0);
    expect([...h.rxq]).toEqual([1, ping.length, 1, 0, 0, 0, 0, 0]);
    expect(seen).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('packets that died in the queue are never seen leaving', () => {
    const { h, send } = setup({ maxlen: 2 });
    let seen = 0;
    bpfAttach(h.ifp, {
      tap: () => {
        seen++;
        return false;
      },
    });
    h.link.txSlots = 0;
    send(5);
    h.link.txSlots = 10;
    h.st.flush();
    expect(seen).toBe(2);
    expect(txq(h)).toMatchObject({ qdrops: 3, packets: 2 });
  });
});

test('a pass counts lists: three frames of one batch are one enqueue and one dequeue', () => {
  const { h } = setup();
  for (let i = 0; i < 3; i++) h.link.inject(ping);
  h.pass();
  expect([...h.rxq]).toEqual([3, 3 * ping.length, 0, 0, 0, 0, 1, 1]);
});

test('ten thousand echoes leak no frame', () => {
  const { h } = setup({ frames: 64, csum: true });
  h.st.tune.icmp_icmplim = 0;
  h.st.tune.icmp_icmplim_echo = 0;
  for (let i = 0; i < 10_000; i++) {
    h.link.inject(ping);
    if (i % 32 === 31) h.pass();
  }
  h.pass();
  expect(h.count('icps_reflect')).toBe(10_000);
  expect(h.leaked()).toBe(0);
});
