import { expect, test } from 'vitest';
import { parsePipe } from '../../../src/dummynet/config.ts';
import { Dummynet } from '../../../src/dummynet/dummynet.ts';
import { parseRule } from '../../../src/dummynet/rule.ts';
import { inetAton } from '../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../src/stack/net/ip-output.ts';
import { ether, icmp, ipv4, ramp } from '../../lab/frames.ts';
import { TestHost } from '../../lab/memlink.ts';
import fc from '../../lab/property.ts';

/** Options of a pipe, each there or not, in any company. */
const config = fc
  .tuple(
    fc.constantFrom('', 'bw 1Mbit/s', 'bw 100Mbit/s'),
    fc.constantFrom('', 'delay 1ms', 'delay 30ms', 'delay 5ms jitter 4ms', 'delay 5ms jitter 5ms jitter-reorder'),
    fc.constantFrom('', 'queue 3', 'queue 2000B'),
    fc.constantFrom('', 'plr 0.3', 'gemodel 0.2/0.3', 'drop 1,3-5'),
    fc.constantFrom('', 'red 0.5/1/3/0.5', 'gred 0.5/200B/600B/0.5 ecn', 'codel target 1ms interval 2ms ecn'),
    fc.constantFrom('', 'reorder 0.5', 'reorder 0.5 gap 2 extra 3ms'),
    fc.constantFrom('', 'duplicate 0.5', 'corrupt 0.5', 'duplicate 1 corrupt 1'),
    fc.constantFrom('', 'mark 1'),
  )
  .map((parts) => parts.filter((p) => p !== '').join(' '));

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('send' as const), bytes: fc.integer({ min: 0, max: 1400 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('receive' as const), bytes: fc.integer({ min: 0, max: 1400 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), us: fc.integer({ min: 1, max: 20_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('config' as const), pipe: fc.constantFrom(1, 2), config }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), pipe: fc.constantFrom(1, 2) }) },
);

const RULES = ['pipe 1 icmp from any to any', 'pipe 2 ip from any to any out'];

test('whatever pipes do and whenever they change: every packet is accounted for, and every frame comes back', () => {
  fc.assert(
    fc.property(config, config, fc.array(step, { maxLength: 80 }), fc.boolean(), (one, two, steps, csum) => {
      const h = new TestHost({ frames: 48, csum });
      h.st.arp.learn(h.ifp, inetAton('192.0.2.2'), 0x0200, 2);
      const dn = new Dummynet(h.st);
      const there = new Map([
        [1, one],
        [2, two],
      ]);
      const configure = (pipe: number, words: string): void => {
        dn.configure(pipe, parsePipe(words.split(' ').filter(Boolean), String));
        there.set(pipe, words);
        const rules = RULES.map((r, i) => parseRule(i + 1, r.split(' ')));
        dn.setRules(rules.filter((r) => there.has(r.pipe)));
      };
      for (const [pipe, words] of [...there]) configure(pipe, words);
      for (const s of steps) {
        if (s.do === 'send') {
          const m = h.pool.get();
          if (m === null) continue;
          m.len = s.bytes;
          ipOutput(h.st, m, 0, inetAton('192.0.2.2'), 99, 2, 0, true, null, null);
        } else if (s.do === 'receive') {
          h.exchange(ether({}, ipv4({ proto: 1, tos: s.bytes & 3 }, icmp(8, 0, ramp(4 + s.bytes)))));
        } else if (s.do === 'wait') {
          h.run(s.us, 700);
        } else if (s.do === 'config') {
          configure(s.pipe, s.config);
        } else {
          dn.remove(s.pipe);
          there.delete(s.pipe);
        }
        const c = (name: string): number => h.count(`dn_${name}`);
        const dropped = ['loss', 'overflow', 'aqm', 'purge', 'nobufs'].reduce((n, why) => n + c(`drop_${why}`), 0);
        expect(c('io_in') + c('io_out') + c('duplicated')).toBe(c('passed_in') + c('passed_out') + dropped + c('held'));
      }
      h.run(0);
      expect(h.leaked(h.count('dn_held'))).toBe(0);
      dn.flush();
      expect(h.count('dn_held')).toBe(0);
      expect(h.leaked()).toBe(0);
      expect(h.st.pfil.inet.in).toBeNull();
      // Nothing of a pipe is left on the wheel.
      const sent = h.link.sent.length;
      h.run(200_000);
      expect(h.link.sent.length).toBe(sent);
    }),
    { numRuns: 150 },
  );
});
