import { describe, expect, it } from 'vitest';
import {
  TA_CLOSE,
  TA_DROP,
  TA_INPUT,
  TA_INPUT_DONE,
  TA_OUTPUT,
  TA_OUTPUT_CALL,
  TA_OUTPUT_DONE,
  TA_OUTPUT_FAIL,
  type TcpTraceFn,
  traceAdd,
  traceRemove,
} from '../../../../src/stack/tcp/tcp-trace.ts';
import type { Tcpcb } from '../../../../src/stack/tcp/tcpcb.ts';
import { open, pattern, type Recorder, serve } from '../../../lab/tcpuser.ts';
import { ADDR_B, TwoStacks } from '../../../lab/twostacks.ts';

const SECOND = 1_000_000;
const NAMES = new Map([
  [TA_INPUT, 'input'],
  [TA_INPUT_DONE, 'input done'],
  [TA_OUTPUT, 'output'],
  [TA_OUTPUT_CALL, 'output call'],
  [TA_OUTPUT_DONE, 'output done'],
  [TA_OUTPUT_FAIL, 'output fail'],
  [TA_DROP, 'drop'],
  [TA_CLOSE, 'close'],
]);

function connected() {
  const net = new TwoStacks();
  const accepted: Recorder[] = [];
  serve(net.b, 80, accepted);
  const user = open(net.a, ADDR_B, 80);
  net.run(SECOND, () => user.has('connected') && accepted.length === 1);
  net.run(SECOND / 2);
  return { net, user, st: net.a.st, tp: user.so!.tp! };
}

/** A listener that writes down what it hears, with what `show` makes of the block. */
function listener(show: (tp: Tcpcb) => string = () => ''): { heard: string[]; fn: TcpTraceFn } {
  const heard: string[] = [];
  const fn: TcpTraceFn = (tp, act) => {
    const name = NAMES.get(act);
    if (name !== undefined) heard.push(`${name}${show(tp)}`);
  };
  return { heard, fn };
}

describe('the trace point (DESIGN.md, "The way of a packet")', () => {
  it('tells several listeners the same, in the order in which they came, of connections old and new; none when all have gone', () => {
    const t = connected();
    const order: string[] = [];
    const one: TcpTraceFn = (_tp, act) => void order.push(`1 ${act}`);
    const two: TcpTraceFn = (_tp, act) => void order.push(`2 ${act}`);
    traceAdd(t.st, one);
    expect(t.tp.t_trace).toBe(one);
    traceAdd(t.st, two);
    expect(() => traceAdd(t.st, two)).toThrow('added twice');
    t.user.sendAll(pattern(10), false);
    t.net.run(SECOND);
    expect(order.length).toBeGreaterThan(6);
    for (let i = 0; i < order.length; i += 2) expect(order[i + 1]).toBe(order[i]!.replace('1', '2'));
    traceRemove(t.st, one);
    expect(t.tp.t_trace).toBe(two);
    traceRemove(t.st, one);
    traceRemove(t.st, two);
    expect([t.tp.t_trace, t.st.tcp.trace]).toEqual([null, null]);
    const user = open(t.net.a, ADDR_B, 80);
    expect(user.so!.tp!.t_trace).toBeNull();
  });

  it('tells of a segment before it goes and after the bookkeeping, and of its ACK before and after, the look for more to send between', () => {
    const t = connected();
    const { heard, fn } = listener((tp) => ` ${(tp.snd_max - tp.snd_una) | 0}`);
    traceAdd(t.st, fn);
    t.user.sendAll(pattern(10), false);
    t.net.run(SECOND);
    expect(heard).toEqual(['output call 0', 'output 0', 'output done 10', 'input 10', 'output call 0', 'input done 0']);
  });

  it('tells of a block that is dropped before its state is lost, and that it is freed while everything is there', () => {
    const t = connected();
    const { heard, fn } = listener((tp) => ` ${tp.t_state} ${tp.t_inpcb !== null && tp.t_socket !== null}`);
    traceAdd(t.st, fn);
    t.user.so!.abort();
    t.net.run(SECOND);
    expect(heard).toEqual(['drop 4 true', 'output call 0 true', 'output 0 true', 'output done 0 true', 'close 0 true']);
  });

  it('tells of a segment that did not leave: each that was told of is done or failed', () => {
    const t = connected();
    const { heard, fn } = listener();
    traceAdd(t.st, fn);
    // A filter on the way out has made the packet longer than the link takes: EMSGSIZE behind the filters.
    const { pfil } = t.st;
    const hook = {
      mod: 'test',
      rul: 'longer',
      type: 'inet' as const,
      flags: 0,
      mbuf: (m: { len: number }) => {
        if (m.len > 1000) m.len += 600;
        return 0 as const;
      },
    };
    pfil.addHook(hook);
    pfil.link(pfil.inet, hook, { out: true });
    t.user.sendAll(pattern(1400), false);
    expect(heard).toEqual(['output call', 'output', 'output fail']);
    pfil.removeHook(hook);
    t.net.run(5 * SECOND);
    expect(heard.filter((h) => h === 'output').length).toBe(heard.filter((h) => /^output (done|fail)$/.test(h)).length);
  });
});
