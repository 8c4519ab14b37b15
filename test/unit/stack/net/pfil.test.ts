import { describe, expect, test } from 'vitest';
import type { Mbuf } from '../../../../src/rings/mbuf.ts';
import { EACCES } from '../../../../src/stack/errno.ts';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../../src/stack/net/ip-output.ts';
import {
  PFIL_CNT_CONSUME,
  PFIL_CNT_DROP,
  PFIL_CNT_ERROR,
  PFIL_CNT_PASS,
  PFIL_CONSUMED,
  PFIL_DROPPED,
  PFIL_PASS,
  Pfil,
  type PfilCtx,
  type PfilHook,
  type PfilType,
} from '../../../../src/stack/net/pfil.ts';
import { arpReply, ether, icmp, ipv4, parseIp, ramp, sum16 } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

const pass = (mod: string, type: PfilType = 'inet', mbuf: PfilHook['mbuf'] = () => PFIL_PASS): PfilHook => ({
  mod,
  rul: 'default',
  type,
  flags: 0,
  mbuf,
});

const ping = ether({}, ipv4({ proto: 1 }, icmp(8, 0, ramp(12))));

function setup() {
  const h = new TestHost();
  h.exchange(arpReply());
  h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
  const link = (
    mod: string,
    mbuf: PfilHook['mbuf'],
    o: { in?: boolean; out?: boolean; append?: boolean },
    type: PfilType = 'inet',
  ) => {
    const hook = pass(mod, type, mbuf);
    h.st.pfil.addHook(hook);
    h.st.pfil.link(type === 'inet' ? h.st.pfil.inet : h.st.pfil.ethernet, hook, o);
    return hook;
  };
  const send = (inp: unknown = null) => {
    const m = h.pool.get()!;
    m.len = 8;
    return ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 99, 0, 0, true, inp, null);
  };
  return { h, link, send };
}

describe('order of hooks (spec/packetflow.md 2.1)', () => {
  test('the default link is nearest the wire: the last one linked sees received packets first and sent packets last', () => {
    const { h, link } = setup();
    const seen: string[] = [];
    for (const name of ['pf', 'siftr'])
      link(
        name,
        (_m, c) => {
          seen.push(`${c.dir} ${name}`);
          return PFIL_PASS;
        },
        { in: true, out: true },
      );
    link(
      'far',
      (_m, c) => {
        seen.push(`${c.dir} far`);
        return PFIL_PASS;
      },
      { in: true, out: true, append: true },
    );
    expect(h.exchange(ping)).toHaveLength(1);
    expect(seen).toEqual(['in siftr', 'in pf', 'in far', 'out far', 'out pf', 'out siftr']);
  });

  test('without a hook the chains are null', () => {
    const { h, link } = setup();
    expect([h.st.pfil.inet.in, h.st.pfil.inet.out, h.st.pfil.ethernet.in]).toEqual([null, null, null]);
    const hook = link('a', () => PFIL_PASS, { in: true });
    h.st.pfil.unlink(h.st.pfil.inet, hook, { in: true });
    expect(h.st.pfil.inet.in).toBeNull();
  });

  test('a packet on its way keeps the chain that it entered', () => {
    const { h, link } = setup();
    const seen: string[] = [];
    const late = pass('late', 'inet', () => {
      seen.push('late');
      return PFIL_PASS;
    });
    h.st.pfil.addHook(late);
    link(
      'early',
      () => {
        seen.push('early');
        h.st.pfil.link(h.st.pfil.inet, late, { in: true, append: true });
        return PFIL_PASS;
      },
      { in: true },
    );
    h.link.inject(ping);
    h.pass();
    expect(seen).toEqual(['early']);
  });
});

describe('what a hook is told', () => {
  test('interface, queue, direction, time, and the sending socket on output only', () => {
    const { h, link, send } = setup();
    const told: unknown[] = [];
    const note = (m: Mbuf, c: PfilCtx) => {
      told.push([c.dir, c.fwd, c.ifp.name, c.queue, c.inp, c.now, h.st.pool.dv.getUint8(m.pos)]);
      return PFIL_PASS as 0;
    };
    link('a', note, { in: true, out: true });
    const inp = { a: 'socket' };
    send(inp);
    h.exchange(ping);
    expect(told).toEqual([
      ['out', false, 'mem0', 0, inp, h.clock.us, 0x45],
      ['in', false, 'mem0', 0, null, h.clock.us, 0x45],
      ['out', false, 'mem0', 0, null, h.clock.us, 0x45],
    ]);
  });
});

describe('verdicts', () => {
  test('DROPPED on input ends the packet silently; on output the sender gets EACCES', () => {
    const { h, link, send } = setup();
    const hook = link(
      'a',
      (m) => {
        m.pool.put(m);
        return PFIL_DROPPED;
      },
      { in: true, out: true },
    );
    const second: string[] = [];
    link(
      'b',
      () => {
        second.push('seen');
        return PFIL_PASS;
      },
      { in: true, append: true },
    );
    expect(h.exchange(ping)).toHaveLength(0);
    expect(second).toEqual([]);
    expect(send()).toBe(EACCES);
    expect(h.moved()).toMatchObject({ pfils_inet_in_drop: 1, pfils_inet_out_drop: 1 });
    expect(h.st.pfil.inet.in!.find((l) => l.hook === hook)!.cnt[PFIL_CNT_DROP]).toBe(1);
    expect(h.leaked()).toBe(0);
  });

  test('CONSUMED leaves the packet with the hook, and the sender has succeeded', () => {
    const { h, link, send } = setup();
    const kept: Mbuf[] = [];
    link(
      'a',
      (m) => {
        kept.push(m);
        return PFIL_CONSUMED;
      },
      { in: true, out: true },
    );
    expect(h.exchange(ping)).toHaveLength(0);
    expect(send()).toBe(0);
    expect(h.moved()).toMatchObject({ pfils_inet_in_consumed: 1, pfils_inet_out_consumed: 1 });
    expect(h.st.pfil.inet.in![0]!.cnt[PFIL_CNT_CONSUME]).toBe(1);
    for (const m of kept) h.pool.put(m);
    expect(h.leaked()).toBe(0);
  });

  test('a hook that throws has dropped the packet, whether it freed it or not', () => {
    const { h, link } = setup();
    const warnings: string[] = [];
    h.st.onWarning = (text) => warnings.push(text);
    let freeFirst = false;
    link(
      'a',
      (m) => {
        if (freeFirst) m.pool.put(m);
        throw new Error('broken');
      },
      { in: true },
    );
    expect(h.exchange(ping)).toHaveLength(0);
    freeFirst = true;
    expect(h.exchange(ping)).toHaveLength(0);
    const l = h.st.pfil.inet.in![0]!;
    expect([l.cnt[PFIL_CNT_ERROR], l.cnt[PFIL_CNT_DROP], String(l.lastError)]).toEqual([2, 2, 'Error: broken']);
    expect(h.count('pfils_hook_errors')).toBe(2);
    expect(warnings).toEqual(['pfil: hook a:default failed: Error: broken']);
    expect(h.leaked()).toBe(0);
  });

  test('the same on the ethernet head, where packets still have their link header', () => {
    const { h, link, send } = setup();
    let verdict: 0 | 1 | 2 = PFIL_PASS;
    const kept: Mbuf[] = [];
    const types: number[] = [];
    link(
      'e',
      (m) => {
        types.push(h.st.pool.dv.getUint16(m.pos + 12));
        if (verdict === PFIL_DROPPED) m.pool.put(m);
        if (verdict === PFIL_CONSUMED) kept.push(m);
        return verdict;
      },
      { in: true, out: true },
      'ethernet',
    );
    expect(h.exchange(ping)).toHaveLength(1);
    expect(types).toEqual([0x0800, 0x0800]);
    expect(h.st.pfil.ethernet.in![0]!.cnt[PFIL_CNT_PASS]).toBe(1);
    verdict = PFIL_DROPPED;
    expect(h.exchange(ping)).toHaveLength(0);
    expect(send()).toBe(EACCES);
    verdict = PFIL_CONSUMED;
    expect(h.exchange(ping)).toHaveLength(0);
    expect(send()).toBe(0);
    expect(h.moved()).toMatchObject({
      pfils_ether_in_drop: 1,
      pfils_ether_out_drop: 1,
      pfils_ether_in_consumed: 1,
      pfils_ether_out_consumed: 1,
    });
    for (const m of kept) h.pool.put(m);
    expect(h.leaked()).toBe(0);
  });

  test('a rewritten destination on output is routed anew, and checksums are computed after the hooks (T6)', () => {
    const { h, link, send } = setup();
    h.st.arp.learn(h.ifp, inetAton('192.0.2.9'), 0x0200, 9);
    link(
      'nat',
      (m) => {
        h.st.pool.dv.setInt32(m.pos + 16, inetAton('192.0.2.9'));
        return PFIL_PASS;
      },
      { out: true },
    );
    expect(send()).toBe(0);
    const p = parseIp(h.run()[0]!);
    expect(p).toMatchObject({ dst: '192.0.2.9', dstMac: '02:00:00:00:00:09', headerSum: 0xffff });
    expect(sum16(p.payload)).toBe(0);
  });

  test('a rewritten destination on input decides whether the packet is ours', () => {
    const { h, link } = setup();
    link(
      'nat',
      (m) => {
        h.st.pool.dv.setInt32(m.pos + 16, inetAton('192.0.2.77'));
        return PFIL_PASS;
      },
      { in: true },
    );
    h.exchange(ping);
    expect(h.count('ips_notours')).toBe(1);
  });
});

describe('registration errors (spec/packetflow.md 2.1)', () => {
  const code = (fn: () => void) => {
    try {
      fn();
    } catch (e) {
      return (e as { code: string }).code;
    }
    return 'ok';
  };

  test('unknown heads and hooks are ENOENT, differing types and no direction EINVAL, a second link EEXIST', () => {
    const p = new Pfil();
    const known = pass('a');
    p.addHook(known);
    expect(code(() => p.link(p.inet, pass('b'), { in: true }))).toBe('ENOENT');
    expect(code(() => p.link(new Pfil().inet, known, { in: true }))).toBe('ENOENT');
    expect(code(() => p.link(p.ethernet, known, { in: true }))).toBe('EINVAL');
    expect(code(() => p.link(p.inet, known, {}))).toBe('EINVAL');
    expect(code(() => p.link(p.inet, known, { in: true }))).toBe('ok');
    expect(code(() => p.link(p.inet, known, { in: true, out: true }))).toBe('EEXIST');
    expect(p.inet.out).toBeNull();
    expect(code(() => p.unlink(p.inet, known, { out: true }))).toBe('ENOENT');
    expect(code(() => p.removeHook(pass('b')))).toBe('ENOENT');
    expect(code(() => p.headUnregister(new Pfil().inet))).toBe('ENOENT');
  });

  test('removing a hook unlinks it everywhere; removing a head drops its links', () => {
    const p = new Pfil();
    const a = pass('a');
    p.addHook(a);
    const head = p.headRegister('ix1', 'inet');
    p.link(p.inet, a, { in: true, out: true });
    p.link(head, a, { in: true });
    p.removeHook(a);
    expect([p.inet.in, p.inet.out, head.in]).toEqual([null, null, null]);
    p.headUnregister(head);
    expect(p.heads.map((h) => h.name)).toEqual(['ethernet', 'inet']);
  });

  test('duplicate names are accepted with a warning', () => {
    const p = new Pfil();
    const warnings: string[] = [];
    p.onWarning = (text) => warnings.push(text);
    p.headRegister('inet', 'inet');
    p.addHook(pass('a'));
    p.addHook(pass('a'));
    expect(warnings).toEqual(['pfil: duplicate head "inet"', 'pfil: duplicate hook "a:default"']);
  });
});
