import { describe, expect, test } from 'vitest';
import { parsePipe } from '../../../src/dummynet/config.ts';
import { Dummynet } from '../../../src/dummynet/dummynet.ts';
import { parseRule } from '../../../src/dummynet/rule.ts';
import { RELEASE_ERROR_US } from '../../../src/metrics/decl/dummynet.ts';
import { dns } from '../../../src/metrics/layout.ts';
import { F_EOP, F_IPCSUM_GOOD, F_L4CSUM_GOOD, F_L4CSUM_PARTIAL, F_TX_L4CSUM } from '../../../src/rings/link.ts';
import { M_SIFTR, type Mbuf } from '../../../src/rings/mbuf.ts';
import { SiftrHook } from '../../../src/siftr/hook.ts';
import { createRing } from '../../../src/siftr/record.ts';
import { createSiftrShared } from '../../../src/siftr/shared.ts';
import { inetAton } from '../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../src/stack/net/ip-output.ts';
import { PFIL_PASS, type PfilHook } from '../../../src/stack/net/pfil.ts';
import { ether, icmp, ipv4, parseIp, ramp, sum16, tcp } from '../../lab/frames.ts';
import { TestHost, type TestHostOptions } from '../../lab/memlink.ts';

const noFile = (name: string): string => {
  throw new Error(name);
};

/** A host whose pipe 1 has `config` and gets what `rules` say, each from `pipe 1` on. */
function setUp(config: string, rules: string[] = ['ip from any to any'], o: TestHostOptions = {}) {
  const h = new TestHost(o);
  h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
  const dn = new Dummynet(h.st);
  dn.configure(1, parsePipe(config.split(' ').filter(Boolean), noFile));
  dn.setRules(rules.map((r, i) => parseRule((i + 1) * 100, ['pipe', '1', ...r.split(' ')])));
  /** Sends a packet of protocol 99 whose first byte is `n`. */
  const send = (n = 0, len = 8, flags = 0, tos = 0): number => {
    const m = h.pool.get()!;
    m.len = len;
    m.flags = flags;
    h.pool.u8.fill(0, m.pos, m.pos + len);
    h.pool.u8[m.pos] = n;
    return ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 99, tos, 0, true, null, null);
  };
  const first = (frames: Uint8Array[]): number[] => frames.map((f) => parseIp(f).payload[0]!);
  return { h, dn, send, first };
}

const ping = (n = 0): Uint8Array => ether({}, ipv4({ proto: 1 }, icmp(8, 0, [0, n, ...ramp(10)])));

/** Everything that went in came out, was dropped or is held (the declaration of the group). */
function conserved(h: TestHost): void {
  const c = (name: string): number => h.count(name);
  const drops = ['loss', 'overflow', 'aqm', 'purge', 'nobufs'].reduce((n, why) => n + c(`dn_drop_${why}`), 0);
  expect(c('dn_io_in') + c('dn_io_out') + c('dn_duplicated')).toBe(
    c('dn_passed_in') + c('dn_passed_out') + drops + c('dn_held'),
  );
}

describe('a packet in a pipe', () => {
  test('comes out after the delay, out and in, and goes on where it was taken', () => {
    const { h, send } = setUp('delay 20ms');
    expect(send()).toBe(0);
    expect(h.run(19_999, 19_999)).toHaveLength(0);
    expect(h.run(1)).toHaveLength(1);
    expect(h.moved()).toMatchObject({ dn_io_out: 1, dn_passed_out: 1, pfils_inet_out_consumed: 1 });
    // In, and the answer out again: both ways are delayed.
    h.link.inject(ping());
    expect(h.run(39_999, 1000)).toHaveLength(0);
    expect(h.run(1)).toHaveLength(1);
    expect(h.moved()).toMatchObject({ dn_io_in: 1, dn_passed_in: 1, dn_io_out: 1, ips_delivered: 1 });
    conserved(h);
    expect(h.leaked()).toBe(0);
  });

  test('leaves at the rate of the pipe, its IP length counting', () => {
    // 8 Mbit/s is a byte a microsecond; 80 + 20 bytes each.
    const { h, send, first } = setUp('bw 8Mbit/s', ['ip from any to any out']);
    for (let n = 1; n <= 3; n++) send(n, 80);
    expect(first(h.run(100, 1))).toEqual([1]);
    expect(first(h.run(99, 1))).toEqual([]);
    expect(first(h.run(1))).toEqual([2]);
    expect(first(h.run(100, 1))).toEqual([3]);
    conserved(h);
    expect(h.leaked()).toBe(0);
  });

  test('that is not held up stays with who brought it: no second way through the stack', () => {
    const { h, send } = setUp('plr 0');
    expect(send()).toBe(0);
    expect(h.run()).toHaveLength(1);
    expect(h.moved()).toMatchObject({ dn_io_out: 1, dn_passed_out: 1 });
    expect(h.count('pfils_inet_out_consumed')).toBe(0);
  });

  test('is received when it comes out: its time is that of the release', () => {
    const { h } = setUp('delay 5ms', ['ip from any to any in']);
    const times: number[] = [];
    h.st.protosw[99] = (st, m) => {
      times.push(m.time);
      st.pool.put(m);
    };
    h.link.inject(ether({}, ipv4({ proto: 99 }, ramp(8))), { time: h.clock.us });
    const due = h.clock.us + 5000;
    h.run(5000, 100);
    expect(times).toEqual([due]);
  });

  test('finds the route and the station address as they are when it comes out', () => {
    const { h, send } = setUp('delay 1ms');
    send();
    h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 7);
    expect(h.run(1000, 1000).map((f) => parseIp(f).dstMac)).toEqual(['02:00:00:00:00:07']);
  });

  test('of an interface address that is gone by then is refused and counted, not sent', () => {
    const { h, send } = setUp('delay 1ms');
    send();
    h.st.routes.remove(inetAton('192.0.2.0'), 24);
    expect(h.run(1000, 1000)).toHaveLength(0);
    expect(h.count('ips_noroute_dst')).toBe(1);
    expect(h.leaked()).toBe(0);
  });
});

describe('drops, each with a counter of its own', () => {
  test('plr 1 loses everything', () => {
    const { h, send } = setUp('plr 1');
    expect([send(), send()]).toEqual([0, 0]);
    h.exchange(ping());
    expect(h.run(1000)).toHaveLength(0);
    expect(h.moved()).toMatchObject({ dn_io_out: 2, dn_io_in: 1, dn_drop_loss: 3 });
    expect(h.leaked()).toBe(0);
  });

  test('a full queue drops the newcomer', () => {
    const { h, send, first } = setUp('bw 8Mbit/s queue 2', ['ip from any to any out']);
    for (let n = 1; n <= 5; n++) send(n, 80);
    // One in service, two waiting.
    expect(h.count('dn_drop_overflow')).toBe(2);
    expect(first(h.run(1000, 10))).toEqual([1, 2, 3]);
    conserved(h);
    expect(h.leaked()).toBe(0);
  });

  test('red drops or, with ecn, marks', () => {
    const dropping = setUp('bw 8Kbit/s queue 100 red 1/1/2/1', ['ip from any to any out']);
    for (let n = 0; n < 20; n++) dropping.send(n, 80);
    expect(dropping.h.count('dn_drop_aqm')).toBeGreaterThan(10);
    conserved(dropping.h);
    const marking = setUp('bw 8Mbit/s queue 100 gred 1/1/90/1 ecn', ['ip from any to any out']);
    for (let n = 0; n < 50; n++) marking.send(n, 80, 0, 2);
    expect(marking.h.count('dn_marked')).toBeGreaterThan(0);
    const frames = marking.h.run(10_000, 100).map(parseIp);
    expect(frames.filter((f) => f.tos === 3)).toHaveLength(marking.h.count('dn_marked'));
  });

  test('deleting the pipe drops what is in it and takes its rules along', () => {
    const { h, dn, send } = setUp('delay 1s');
    for (let n = 0; n < 5; n++) send(n);
    expect(h.count('dn_held')).toBe(5);
    dn.remove(1);
    expect(h.moved()).toMatchObject({ dn_drop_purge: 5 });
    expect(h.count('dn_held')).toBe(0);
    expect(h.leaked()).toBe(0);
    expect(h.st.pfil.inet.out).toBeNull();
    expect(dn.report()).toEqual({ pipes: [], rules: [] });
    send();
    expect(h.run()).toHaveLength(1);
  });

  test('flush does it for all of them, and what it leaves on the wheel does nothing', () => {
    const { h, dn, send } = setUp('delay 1s');
    dn.configure(2, parsePipe(['delay', '2s'], noFile));
    dn.setRules([
      parseRule(1, 'pipe 2 ip from any to any in'.split(' ')),
      parseRule(2, 'pipe 1 ip from any to any'.split(' ')),
    ]);
    send();
    h.exchange(ping());
    expect(h.count('dn_held')).toBe(2);
    dn.flush();
    expect(h.count('dn_drop_purge')).toBe(2);
    expect(h.run(5_000_000)).toHaveLength(0);
    conserved(h);
    expect(h.leaked()).toBe(0);
  });

  test('pipes hold half of the frames of a shard at most', () => {
    const { h, send } = setUp('delay 1s queue 1000', undefined, { frames: 32 });
    for (let n = 0; n < 20; n++) send(n);
    expect(h.count('dn_drop_nobufs')).toBe(4);
    expect(h.count('dn_held')).toBe(16);
    expect(h.run(1_000_000)).toHaveLength(16);
    conserved(h);
    expect(h.leaked()).toBe(0);
  });
});

describe('what a pipe does to packets', () => {
  test('a copy follows its packet, byte for byte; without a frame there is none', () => {
    const { h, send } = setUp('duplicate 1 delay 1ms', ['ip from any to any out']);
    send(7, 100);
    const sent = h.run(1000, 1000);
    expect(sent).toHaveLength(2);
    expect(sent[1]).toEqual(sent[0]);
    expect(h.count('dn_duplicated')).toBe(1);
    const held: Mbuf[] = [];
    while (h.pool.available > 1) held.push(h.pool.get()!);
    send();
    expect(h.count('dn_dup_nobufs')).toBe(1);
    for (const m of held) h.pool.put(m);
    expect(h.run(1000, 1000)).toHaveLength(1);
    conserved(h);
    expect(h.leaked()).toBe(0);
  });

  test('a received packet is copied with its link header, and both copies are answered', () => {
    const { h } = setUp('duplicate 1 delay 1ms', ['ip from any to any in']);
    h.link.inject(ping(3));
    const answers = h.run(1000, 1000).map((f) => parseIp(f).payload);
    expect(answers).toHaveLength(2);
    expect(answers[1]).toEqual(answers[0]);
    expect(h.leaked()).toBe(0);
  });

  test('reordered packets overtake and are counted', () => {
    const { h, send, first } = setUp('delay 10ms reorder 1 gap 3', ['ip from any to any out']);
    for (let n = 1; n <= 4; n++) send(n);
    expect(first(h.run(1))).toEqual([3]);
    expect(first(h.run(10_000, 1000))).toEqual([1, 2, 4]);
    expect(h.count('dn_reordered')).toBe(2);
  });

  test.each([
    [1, 3],
    [2, 3],
    [3, 3],
    [0, 0],
  ])(
    'ECN field %i above the threshold becomes %i, with a header checksum that holds (RFC 3168 5, RFC 1624)',
    (ecn, after) => {
      const { h } = setUp('bw 8Mbit/s mark 1', ['ip from any to any in']);
      const seen: Uint8Array[] = [];
      h.st.protosw[99] = (st, m) => {
        seen.push(st.pool.u8.slice(m.l3, m.l3 + 20));
        st.pool.put(m);
      };
      // A packet in service, two waiting, and this one.
      for (let n = 0; n < 4; n++) h.link.inject(ether({}, ipv4({ proto: 99, tos: n < 3 ? 0 : 0xb8 | ecn }, ramp(80))));
      h.run(1000, 10);
      expect(seen).toHaveLength(4);
      expect(seen[3]![1]).toBe(0xb8 | after);
      expect(sum16(seen[3]!)).toBe(0xffff);
    },
  );

  test('a flipped bit lies behind the IP header and is found by the checksum, which is computed before', () => {
    for (const csum of [false, true]) {
      const { h } = setUp('corrupt 1', ['ip from any to any out'], { csum });
      const m = h.pool.get()!;
      m.len = 40;
      h.pool.u8.fill(0x55, m.pos, m.pos + 40);
      m.flags = F_TX_L4CSUM;
      ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 6, 0, 0, true, null, null);
      h.run();
      const sent = h.link.sent.at(-1)!;
      expect([sent.l4csum, sent.ipcsum]).toEqual([false, csum]);
      const p = parseIp(sent.bytes);
      if (!csum) expect(p.headerSum).toBe(0xffff);
      const pseudo = [192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0, 40];
      expect(sum16([...pseudo, ...p.payload])).not.toBe(0xffff);
      // One bit away from right.
      const right = [...p.payload].some((byte, at) =>
        [1, 2, 4, 8, 16, 32, 64, 128].some((bit) => {
          const bytes = [...p.payload];
          bytes[at] = byte ^ bit;
          return sum16([...pseudo, ...bytes]) === 0xffff;
        }),
      );
      expect(right).toBe(true);
      expect(h.count('dn_corrupted')).toBe(1);
    }
  });

  test.each([F_L4CSUM_GOOD, F_L4CSUM_PARTIAL])(
    'a received one is no longer what the link verified (flag %i)',
    (flag) => {
      const { h } = setUp('corrupt 1', ['ip from any to any in']);
      h.link.inject(ping(), { flags: F_EOP | F_IPCSUM_GOOD | flag });
      expect(h.run()).toHaveLength(0);
      expect(h.moved()).toMatchObject({ dn_corrupted: 1, icps_checksum: 1 });
      expect(h.leaked()).toBe(0);
    },
  );

  test('a packet of nothing but an IP header stays whole', () => {
    const { h } = setUp('corrupt 1', ['ip from any to any in']);
    h.exchange(ether({}, ipv4({ proto: 99 })));
    expect(h.count('dn_corrupted')).toBe(0);
    expect(h.leaked()).toBe(0);
  });
});

describe('rules', () => {
  const seg = (sport: number, dport: number): Uint8Array =>
    ether({}, ipv4({ proto: 6 }, tcp({ src: '192.0.2.2', dst: '192.0.2.1', sport, dport, flags: 2 })));

  test.each([
    ['ip from any to any', true],
    ['ip from any to any out', false],
    ['tcp from any to any in', true],
    ['udp from any to any', false],
    ['tcp from 192.0.2.0/24 to 192.0.2.1', true],
    ['tcp from 198.51.100.0/24 to any', false],
    ['tcp from any to any 80', true],
    ['tcp from any to any 81-90', false],
    ['tcp from any 40000-40010 to any dst-port 80 in', true],
    ['tcp from any to any src-port 80', false],
  ])('%s: a received segment from 40001 to 80 is its own: %s', (rule, fits) => {
    const { h } = setUp('plr 1', [rule]);
    h.exchange(seg(40001, 80));
    expect(h.count('dn_io_in')).toBe(fits ? 1 : 0);
  });

  test('the first that fits decides, and counts', () => {
    const { h, dn } = setUp('plr 1', ['tcp from any to any 80', 'ip from any to any']);
    h.exchange(seg(1, 80));
    h.exchange(ping());
    h.exchange(ping());
    expect(dn.report().rules).toEqual([
      { number: 100, packets: 1, bytes: 40 },
      { number: 200, packets: 2, bytes: 72 },
    ]);
  });

  test('a later fragment has no ports, a packet cut short has none either', () => {
    const { h } = setUp('plr 1', ['udp from any to any 80']);
    const payload = [0, 80, 0, 80, ...ramp(4)];
    h.exchange(ether({}, ipv4({ proto: 17, off: 5 }, payload)));
    h.exchange(ether({}, ipv4({ proto: 17 }, [0, 80])));
    expect(h.count('dn_io_in')).toBe(0);
    h.exchange(ether({}, ipv4({ proto: 17, off: 0x2000 }, payload)));
    expect(h.count('dn_io_in')).toBe(1);
  });
});

describe('order', () => {
  test('packets that come out while others go on keep their order, and nothing is entered twice', () => {
    const { h, send, first } = setUp('delay 1ms');
    // The answer to a received packet enters the same pipe while what is due is handed on.
    h.st.protosw[99] = (st, m) => {
      st.pool.put(m);
      send(9);
    };
    send(1);
    h.link.inject(ether({}, ipv4({ proto: 99 }, ramp(8))));
    h.pass();
    send(2);
    expect(first(h.run(1000, 1000))).toEqual([1, 2]);
    expect(first(h.run(1000, 1000))).toEqual([9]);
    expect(h.moved()).toMatchObject({ dn_io_in: 1, dn_io_out: 3, dn_passed_in: 1, dn_passed_out: 3 });
    expect(h.leaked()).toBe(0);
  });

  const watcher = (seen: string[], name: string): PfilHook => ({
    mod: name,
    rul: 'default',
    type: 'inet',
    flags: 0,
    mbuf: (_m, c) => {
      seen.push(`${c.dir} ${name} ${c.now}`);
      return PFIL_PASS;
    },
  });

  test('hooks on either side see a packet once: those before the pipe at once, those behind it when it comes out', () => {
    const { h, dn, send } = setUp('delay 1ms');
    const seen: string[] = [];
    for (const name of ['b', 'c']) {
      const hook = watcher(seen, name);
      h.st.pfil.addHook(hook);
      h.st.pfil.link(h.st.pfil.inet, hook, { in: true, out: true, append: name === 'b' });
    }
    const t = h.clock.us;
    send();
    h.link.inject(ether({}, ipv4({ proto: 99 }, ramp(8))));
    h.st.protosw[99] = (st, m) => st.pool.put(m);
    h.run(1000, 1000);
    // On output b, dummynet, c; on input c, dummynet, b.
    expect(seen).toEqual([`out b ${t}`, `in c ${t}`, `out c ${t + 1000}`, `in b ${t + 1000}`]);
    seen.length = 0;
    dn.relink();
    send();
    h.run(1000, 1000);
    expect(seen.map((s) => s.slice(0, 5))).toEqual(['out b', 'out c']);
    expect(seen[1]).toBe(`out c ${t + 1000}`);
  });

  test('SIFTR takes notice of a packet once, whichever of the two was linked first', () => {
    for (const relink of [false, true]) {
      const { h, dn } = setUp('delay 1ms');
      (h.st as { tcp: unknown }).tcp = { tcb: { lookup: () => null } };
      h.st.protosw[6] = (st, m) => {
        expect(m.mflags & M_SIFTR).toBe(M_SIFTR);
        st.pool.put(m);
      };
      new SiftrHook(h.st, createRing(8), createSiftrShared()).hook(0);
      if (relink) dn.relink();
      const m = h.pool.get()!;
      m.len = 20;
      ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 6, 0, 0, true, null, null);
      h.link.inject(
        ether({}, ipv4({ proto: 6 }, tcp({ src: '192.0.2.2', dst: '192.0.2.1', sport: 1, dport: 2, flags: 2 }))),
      );
      expect(h.run(1000, 1000)).toHaveLength(1);
      expect(h.moved()).toMatchObject({ siftrs_n_in: 1, siftrs_n_out: 1, dn_passed_in: 1, dn_passed_out: 1 });
      expect(h.count('siftrs_dejavu')).toBe(0);
      expect(h.leaked()).toBe(0);
    }
  });
});

describe('time', () => {
  const classes = (h: TestHost): number[] => [
    ...h.st.cnt.subarray(dns.dn_release_error, dns.dn_release_error + RELEASE_ERROR_US.length + 2),
  ];

  test('how late packets come out is counted, each against its own time', () => {
    const { h, send } = setUp('delay 1ms');
    send();
    h.clock.advance(30);
    send();
    // 1000 and 1030 are due; the clock says 1035.
    h.clock.advance(1005);
    h.pass();
    const counts = classes(h);
    expect(counts[RELEASE_ERROR_US.indexOf(50)]).toBe(1);
    expect(counts[RELEASE_ERROR_US.indexOf(5)]).toBe(1);
    expect(counts.at(-1)).toBe(35 + 5);
  });

  test('a frame that came after the clock of its pass was read is delayed from its own time on, and so is the answer', () => {
    for (const rule of ['ip from any to any in', 'ip from any to any out']) {
      const { h } = setUp('delay 1ms', [rule]);
      h.link.inject(ping(), { time: h.clock.us + 40 });
      expect(h.run(1039, 1039)).toHaveLength(0);
      expect(h.run(1)).toHaveLength(1);
      // Not so one whose stamp cannot be its own.
      h.link.inject(ping(), { time: h.clock.us + 5_000_000 });
      expect(h.run(1000, 1000)).toHaveLength(1);
    }
  });

  test('what is overdue waits for the timer, which counts how late it is, also when more comes in before', () => {
    const { h, send, first } = setUp('delay 1ms', ['ip from any to any out']);
    send(1);
    h.clock.advance(1500);
    send(2);
    expect(first(h.run(0))).toEqual([1]);
    expect(classes(h)[RELEASE_ERROR_US.indexOf(500)]).toBe(1);
    expect(first(h.run(1000, 1000))).toEqual([2]);
  });

  test('the loop is told when the next packet is due', () => {
    const { h, dn, send } = setUp('delay 1ms');
    expect(dn.untilRelease()).toBe(-1);
    send();
    expect(dn.untilRelease()).toBe(1000);
    h.clock.advance(400);
    expect(dn.untilRelease()).toBe(600);
    h.clock.advance(700);
    expect(dn.untilRelease()).toBe(0);
    h.pass();
    expect(dn.untilRelease()).toBe(-1);
  });

  test('goes on when the int32 clock wraps, and after hours in which nothing came', () => {
    const { h, send } = setUp('delay 1ms bw 8Mbit/s');
    for (let hour = 0; hour < 3; hour++) {
      send(1, 80);
      expect(h.run(1100, 100)).toHaveLength(1);
      h.run(3_600_000_000, 100_000_000);
    }
    expect(h.leaked()).toBe(0);
  });

  test('a pipe that is configured anew keeps what is in it', () => {
    const { h, dn, send } = setUp('delay 10ms');
    send(1);
    dn.configure(1, parsePipe(['delay', '1ms'], noFile));
    send(2);
    expect(h.run(10_000, 1000)).toHaveLength(2);
    expect(h.leaked()).toBe(0);
  });
});
