import { describe, expect, test } from 'vitest';
import { parseRunOptions } from '../../../src/daemon/options.ts';
import { parseCommand } from '../../../src/dummynet/command.ts';
import { parsePipe, pipeConfig } from '../../../src/dummynet/config.ts';
import { parsePipeOption } from '../../../src/dummynet/pipe-option.ts';
import { formatRule, parseRule } from '../../../src/dummynet/rule.ts';
import { IDEAL_PIPE } from '../../../src/impair/config.ts';

const files: Record<string, string> = { 'lte.trace': '0\n5\n10\n', 'bad.trace': '5\n4\n' };
const read = (name: string): string => files[name]!;
const words = (text: string): string[] => text.split(' ').filter(Boolean);
const config = (text: string) => pipeConfig(parsePipe(words(text), read));
const refusal = (fn: () => unknown): string => {
  try {
    fn();
  } catch (err) {
    expect((err as { exitCode: number }).exitCode).toBe(2);
    expect((err as Error).message).not.toContain('\n');
    return (err as Error).message;
  }
  return 'accepted';
};

describe('the options of a pipe, under the names of dnctl(8) where it has one', () => {
  // 50 slots is what dnctl(8) says a queue has by default.
  const base = { ...IDEAL_PIPE, limitPackets: 50 };
  test.each([
    ['', {}],
    ['bw 10Mbit/s delay 20ms queue 50 plr 0.01', { rate: 1e7, delayUs: 20_000, loss: 0.01 }],
    ['bandwidth 64Kbit/s', { rate: 64_000 }],
    ['bw 100KByte/s', { rate: 800_000 }],
    ['delay 20', { delayUs: 20_000 }],
    ['delay 500us', { delayUs: 500 }],
    ['queue 30KBytes', { limitPackets: 0, limitBytes: 30_720 }],
    ['plr 1%', { loss: 0.01 }],
    ['droptail noerror burst 0', {}],
    [
      'red 0.002/5/15/0.1',
      {
        aqm: {
          kind: 'red',
          wq: 0.002,
          minTh: 5,
          maxTh: 15,
          maxP: 0.1,
          gentle: false,
          bytes: false,
          ecn: false,
          hardDrop: true,
        },
      },
    ],
    [
      'gred 0.002/5K/15K/0.1 ecn',
      {
        aqm: {
          kind: 'red',
          wq: 0.002,
          minTh: 5120,
          maxTh: 15_360,
          maxP: 0.1,
          gentle: true,
          bytes: true,
          ecn: true,
          hardDrop: true,
        },
      },
    ],
    ['codel', { aqm: { kind: 'codel', targetUs: 5000, intervalUs: 100_000, ecn: false } }],
    ['codel target 10ms interval 1s ecn', { aqm: { kind: 'codel', targetUs: 10_000, intervalUs: 1e6, ecn: true } }],
    ['codel noecn droptail', {}],
    ['jitter 2ms', { jitterUs: 2000 }],
    ['jitter 2ms jitter-reorder', { jitterUs: 2000, jitterReorder: true }],
    ['gemodel 0.01', { gilbert: { p: 0.01, r: 0.99, lossBad: 1, lossGood: 0 } }],
    ['gemodel 1%/30%/0.5/0.001', { gilbert: { p: 0.01, r: 0.3, lossBad: 0.5, lossGood: 0.001 } }],
    ['drop 5,9,20-22', { drop: [5, 9, 20, 21, 22] }],
    ['reorder 0.25 gap 5 extra 3ms', { reorder: { probability: 0.25, gap: 5, extraUs: 3000 } }],
    ['gap 5 extra 3ms reorder 0.25', { reorder: { probability: 0.25, gap: 5, extraUs: 3000 } }],
    ['duplicate 0.1 corrupt 0.2', { duplicate: 0.1, corrupt: 0.2 }],
    ['mark 20', { ecnPackets: 20 }],
    ['mark 30KB', { ecnBytes: 30_720 }],
  ])('%s', (text, expected) => {
    expect(config(text)).toEqual({ ...base, ...expected });
  });

  test('trace takes a file, whose content goes along', () => {
    const spec = parsePipe(words('trace lte.trace'), read);
    expect(structuredClone(spec)).toEqual(spec);
    expect(spec.traceName).toBe('lte.trace');
    expect(pipeConfig(spec).trace!.rate).toBe((3 * 1500 * 8) / 0.01);
  });

  test.each([
    ['bw 10Mfoo', /^bw 10Mfoo: a rate like/],
    ['bw', /^bw: its value is missing; allowed is a rate, as 10Mbit\/s$/],
    ['delay soon', /^delay soon: a time like/],
    ['delay -5ms', /^delay -5ms: a time like/],
    ['queue many', /^queue many: a queue like/],
    ['queue 1bdp', /^queue 1bdp: how far away the peer is, nobody knows here/],
    ['plr 2', /^plr 2: a probability/],
    ['red 0.002/5/15', /^red 0.002\/5\/15: allowed is w_q\/min_th\/max_th\/max_p/],
    ['red 0.002/15/5/0.1', /min_th must be below max_th$/],
    ['red 0.002/5/15K/0.1', /thresholds are both packets or both bytes/],
    ['red 0/5/15/0.1', /^red 0\/5\/15\/0.1: allowed is/],
    ['red 0.002/5/15/0.1 codel', /^red and codel: a queue has one of them/],
    ['ecn', /^ecn: marks instead of dropping with red, gred or codel/],
    ['gap 0', /^gap 0: allowed is a whole number from 1 on$/],
    ['gemodel 1/2/3/4/5', /^gemodel 1\/2\/3\/4\/5: allowed is p/],
    ['drop 0', /^drop 0: packet numbers from 1 on/],
    ['trace bad.trace', /^trace line 2: 4: not before the 5/],
    ['burst 10K', /^burst: a pipe has no burst/],
    ['profile x', /^profile: delay profiles are not supported/],
    ['mask dst-ip 0xff', /^mask: dynamic pipes are not supported/],
    ['pie', /^pie: not supported/],
    ['weight 5', /^weight: weighted queues are not supported/],
    ['speed 5', /^unknown option speed; allowed are bw, delay, queue, plr,/],
  ])('%s is refused in one line', (text, line) => {
    expect(refusal(() => config(text))).toMatch(line);
  });
});

describe('a rule is written as ipfw(8) shows it', () => {
  test.each([
    'pipe 1 ip from any to any',
    'pipe 1 ip from any to any out',
    'pipe 2 tcp from any to any 80 in',
    'pipe 65535 udp from 192.0.2.0/24 1024-65535 to 198.51.100.7 53 out',
    'pipe 3 icmp from 192.0.2.1 to any',
  ])('%s', (text) => {
    expect(formatRule(parseRule(100, words(text)))).toBe(text);
  });

  test('other ways to say it are understood', () => {
    expect(formatRule(parseRule(1, words('pipe 1 all from 192.0.2.77/24 to any')))).toBe(
      'pipe 1 ip from 192.0.2.0/24 to any',
    );
    expect(formatRule(parseRule(1, words('pipe 1 tcp from any to any out src-port 80 dst-port 1-9')))).toBe(
      'pipe 1 tcp from any 80 to any 1-9 out',
    );
  });

  test.each([
    ['allow ip from any to any', /^rule allow ip from any to any: it sends packets to a pipe; allowed is pipe N/],
    ['pipe x ip from any to any', /^pipe x: allowed is a number from 1 to 65535$/],
    ['pipe 0 ip from any to any', /^pipe 0: allowed is/],
    ['pipe 1 sctp from any to any', /unknown protocol sctp; allowed is/],
    ['pipe 1', /the protocol is missing/],
    ['pipe 1 ip any', /from is missing/],
    ['pipe 1 ip from any', /to is missing/],
    ['pipe 1 ip from host to any', /host is no address; allowed are any and A\.B\.C\.D/],
    ['pipe 1 ip from 192.0.2.300 to any', /192\.0\.2\.300 is no address/],
    ['pipe 1 ip from 192.0.2.1/33 to any', /192\.0\.2\.1\/33 is no address/],
    ['pipe 1 ip from any to any 80', /ports are for tcp and udp/],
    ['pipe 1 tcp from any to any dst-port x', /dst-port takes a port/],
    ['pipe 1 tcp from any to any via ix1', /unknown word via/],
    ['pipe 1 tcp from any to any 99999', /: 99999 is no port from 1 to 65535, nor two with a dash; allowed is pipe N /],
    ['pipe 1 tcp from any 0 to any', /: 0 is no port from 1 to 65535/],
    ['pipe 1 tcp from any to any 90-80 in', /: 90-80 is no port from 1 to 65535/],
  ])('%s is refused in one line', (text, line) => {
    expect(refusal(() => parseRule(1, words(text)))).toMatch(line);
  });
});

describe('the commands of dnctl', () => {
  test.each([
    ['show', { op: 'show', numbers: [] }],
    ['list', { op: 'show', numbers: [] }],
    ['pipe show', { op: 'show', numbers: [] }],
    ['pipe list 1 2', { op: 'show', numbers: [1, 2] }],
    ['pipe 1 show', { op: 'show', numbers: [1] }],
    ['pipe delete 1 2', { op: 'delete', numbers: [1, 2] }],
    ['pipe 1 delete', { op: 'delete', numbers: [1] }],
    ['delete 3', { op: 'delete', numbers: [3] }],
    ['flush', { op: 'flush' }],
    ['pipe flush', { op: 'flush' }],
    ['rule show', { op: 'showRules', numbers: [], counts: true }],
    ['rule list 100', { op: 'showRules', numbers: [100], counts: false }],
    ['rule delete 100 200', { op: 'deleteRules', numbers: [100, 200] }],
    ['rule flush', { op: 'flushRules' }],
  ])('%s', (text, expected) => {
    expect(parseCommand(words(text), read)).toEqual(expected);
  });

  test('config and rule add carry what follows', () => {
    expect(parseCommand(words('pipe 7 config delay 1ms'), read)).toMatchObject({ op: 'config', number: 7 });
    expect(parseCommand(words('rule add 42 pipe 7 ip from any to any in'), read)).toMatchObject({
      op: 'addRule',
      rule: { number: 42, pipe: 7, dir: 'in' },
    });
    expect(parseCommand(words('rule add pipe 7 ip from any to any'), read)).toMatchObject({ rule: { number: 0 } });
  });

  test.each([
    ['', /^no command; allowed are pipe N config OPTIONS,/],
    ['pip show', /^pip: no such command/],
    ['pipe', /^pipe : allowed are/],
    ['pipe 1 confg bw 1', /^pipe 1 confg bw 1: allowed are pipe N config OPTIONS/],
    ['pipe config bw 1', /^pipe config: its number is missing/],
    ['pipe 70000 config', /^pipe 70000: allowed is a number from 1 to 65535/],
    ['pipe 1 config bw x', /^pipe 1 config: bw x: a rate/],
    ['pipe delete', /^pipe delete: name the numbers; flush takes all$/],
    ['flush 1', /^flush 1: flush takes all/],
    ['queue 1 config pipe 1 weight 10', /^queue: weighted queues and schedulers are not supported/],
    ['sched 1 show', /^sched: weighted queues and schedulers are not supported/],
    ['rule', /^rule : allowed are rule add/],
    ['rule add 65535 pipe 1 ip from any to any', /^rule 65535: allowed is a number from 1 to 65534/],
  ])('%s is refused in one line', (text, line) => {
    expect(refusal(() => parseCommand(words(text), read))).toMatch(line);
  });
});

describe('--pipe', () => {
  const option = (text: string) => {
    const { spec, rule } = parsePipeOption(text, read);
    return { config: pipeConfig(spec), rule: formatRule({ number: 1, pipe: 1, ...rule }) };
  };

  test('has the direction first, then options of a pipe and what the rule matches', () => {
    expect(option('out,bw=10Mbit/s,delay=20ms,queue=50,plr=0.01')).toEqual({
      config: config('bw 10Mbit/s delay 20ms queue 50 plr 0.01'),
      rule: 'pipe 1 ip from any to any out',
    });
    expect(option('in,tcp,dst-port=80,codel,target=10ms,ecn')).toEqual({
      config: config('codel target 10ms ecn'),
      rule: 'pipe 1 tcp from any to any 80 in',
    });
    expect(option('both, drop=5+9, udp, src-port=53-54').rule).toBe('pipe 1 udp from any 53-54 to any');
    expect(option('both,drop=5+9').config.drop).toEqual([5, 9]);
  });

  const run = (...pipe: string[]) => parseRunOptions({ iface: 'ix1', pipe });

  test.each([
    ['', /^--pipe: allowed is in, out or both, then options of a pipe/],
    ['bw=1Mbit/s', /^--pipe bw=1Mbit\/s: allowed is in, out or both/],
    ['out,bw=fast', /^--pipe out,bw=fast: bw fast: a rate like/],
    ['out,,delay=1ms', /an option is empty/],
    ['out,dst-port=80', /ports are for tcp and udp/],
    ['out,tcp,dst-port=0', /dst-port: allowed is a port from 1 to 65535/],
    ['out,delay', /delay: its value is missing/],
    ['out,trace=/nonexistent', /trace \/nonexistent: cannot be read \(ENOENT\)/],
  ])('%s is refused in one line, with the option', (text, line) => {
    expect(refusal(() => run(text))).toMatch(line);
  });

  test('several are several pipes', () => {
    expect(run('out,delay=1ms', 'in,delay=2ms').pipe.map((p) => p.spec.config.delayUs)).toEqual([1000, 2000]);
    expect(run().pipe).toEqual([]);
  });
});
