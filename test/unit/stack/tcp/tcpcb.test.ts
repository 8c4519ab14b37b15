import { expect, it } from 'vitest';
import { Tcpcb } from '../../../../src/stack/tcp/tcpcb.ts';
import { TCPCB_FIELDS } from '../../../../src/stack/tcp/tcpcb-fields.ts';
import { TwoStacks } from '../../../lab/twostacks.ts';

/** Links, lists and marks of the block's owner: nothing that a record could hold. */
const NOT_SHOWN = ['onAckq', 'onWaitq'];
const noTimers = {
  rexmt() {},
  persist() {},
  keep() {},
  msl2() {},
  delack() {},
  rack() {},
  pace() {},
  user() {},
  nopush() {},
};
const shown = (tp: Tcpcb): string[] =>
  Object.entries(tp)
    .filter(([, v]) => typeof v === 'number' || typeof v === 'boolean')
    .map(([k]) => k)
    .filter((k) => !NOT_SHOWN.includes(k));

it('declares every number and flag of the control block, and nothing that it has not', () => {
  const { st } = new TwoStacks().a;
  expect(TCPCB_FIELDS.map((f) => f.name).sort()).toEqual(shown(new Tcpcb(st, noTimers)).sort());
});

it('names each field of the SIFTR line that is sampled from the block at most once', () => {
  const numbers = TCPCB_FIELDS.flatMap((f) => f.siftr ?? []);
  expect(new Set(numbers).size).toBe(numbers.length);
});

it('leaves nothing of a connection behind when a block is used again', () => {
  const { st } = new TwoStacks().a;
  const fresh = new Tcpcb(st, noTimers);
  fresh.reset();
  const used = new Tcpcb(st, noTimers);
  for (const name of shown(used)) {
    const values = used as unknown as Record<string, number | boolean>;
    values[name] = typeof values[name] === 'boolean' ? true : 12_345;
  }
  used.reset();
  for (const name of shown(fresh))
    expect([name, used[name as keyof Tcpcb]]).toEqual([name, fresh[name as keyof Tcpcb]]);
});
