import { expect, test } from 'vitest';
import { FlowKey } from '../../../../src/stack/flow.ts';
import { RouteCache } from '../../../../src/stack/net/route.ts';
import { Inpcb, TcbTable } from '../../../../src/stack/tcp/tcb.ts';
import fc from '../../../lab/property.ts';
import { SeededRandom } from '../../../lab/twostacks.ts';

const ro = new RouteCache();

/** Three flows of IPv4, and five of IPv6 that differ from the first in one thing each. */
const KEYS = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => {
  const k = new FlowKey();
  if (i < 3) {
    k.setV4(0xc0000201 | 0, 80, 0xcb007101 | 0, 1024 + i);
    return k;
  }
  Object.assign(k, { l0: 0xfe800000 | 0, l3: 1, f0: 0xfe800000 | 0, f3: 2, lport: 80, fport: 1024, zone: 1 });
  if (i > 3) k[(['zone', 'l0', 'f1', 'lport'] as const)[i - 4]!] += 1;
  return k;
});

const step = fc.record({ op: fc.constantFrom('insert', 'remove', 'lookup', 'lookup'), key: fc.nat(KEYS.length - 1) });

test('finds what was entered and not removed since, whatever was found before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(), (steps, seed) => {
      const table = new TcbTable(new SeededRandom(seed));
      const model = new Map<number, Inpcb>();
      for (const { op, key } of steps) {
        const there = model.get(key);
        if (op === 'insert' && there === undefined) {
          const inp = new Inpcb(ro);
          table.insert(inp, KEYS[key]!);
          model.set(key, inp);
        } else if (op === 'remove' && there !== undefined) {
          table.remove(there);
          model.delete(key);
        }
        expect(table.lookup(KEYS[key]!)).toBe(model.get(key) ?? null);
      }
      expect(table.count).toBe(model.size);
    }),
  );
});
