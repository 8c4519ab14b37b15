import { describe, expect, test } from 'vitest';
import { type DummynetChange, DummynetControl } from '../../../src/dummynet/control.ts';
import type { DummynetReport } from '../../../src/dummynet/dummynet.ts';
import { parsePipeOption } from '../../../src/dummynet/pipe-option.ts';

const noFile = (name: string): string => name;

function setUp(options: string[] = [], count = 1) {
  const control = new DummynetControl(options.map((o) => parsePipeOption(o, noFile)));
  const changes: DummynetChange[] = [];
  const reports: DummynetReport[] = Array.from({ length: count }, () => ({ pipes: [], rules: [] }));
  control.connect({
    count,
    apply: async (change) => void changes.push(structuredClone(change)),
    reports: async () => reports,
  });
  const run = async (text: string, quiet = false) => control.run(text.split(' '), quiet, noFile);
  const text = async (words: string) => (await run(words)).text;
  const refusal = (words: string, quiet = false): Promise<string> =>
    run(words, quiet).then(
      () => 'accepted',
      (err) => `${err.exitCode} ${err.message}`,
    );
  return { control, changes, reports, run, text, refusal };
}

describe('show, as FreeBSD 14 prints it', () => {
  test('a pipe that has carried traffic', async () => {
    const { reports, run, text } = setUp();
    await run('pipe 1 config bw 100Kbit/s delay 300ms plr 0.05');
    reports[0] = {
      pipes: [{ number: 1, packets: 130, bytes: 68_642, queuePackets: 0, queueBytes: 0, drops: 6 }],
      rules: [],
    };
    // What a FreeBSD machine showed of such a pipe, from a published how-to on ipfw.
    expect(await text('pipe show')).toBe(
      [
        '00001: 100.000 Kbit/s  300 ms burst 0 ',
        'q131073  50 sl.plr 0.050000 0 flows (1 buckets) sched 65537 weight 0 lmax 0 pri 0 droptail',
        ' sched 65537 type FIFO flags 0x0 0 buckets 1 active',
        'BKT Prot ___Source IP/port____ ____Dest. IP/port____ Tot_pkt/bytes Pkt/Byte Drp',
        '  0 ip           0.0.0.0/0             0.0.0.0/0      130    68642  0    0   6',
        '',
      ].join('\n'),
    );
    expect(await text('pipe 1 show')).toBe(await text('show'));
  });

  test.each([
    ['bw 10Mbit/s delay 20', '00001:  10.000 Mbit/s   20 ms burst 0 ', 'droptail'],
    ['bw 1.5Gbit/s', '00001:   1.500 Gbit/s    0 ms burst 0 ', 'droptail'],
    ['bw 999bit/s delay 500us', '00001: 999.000 bit/s   0.5 ms burst 0 ', 'droptail'],
    ['delay 1s', '00001: unlimited      1000 ms burst 0 ', 'droptail'],
    ['codel ecn target 500us', '00001: unlimited         0 ms burst 0 ', ' AQM CoDel target 500us interval 100ms ECN'],
    ['codel', '00001: unlimited         0 ms burst 0 ', ' AQM CoDel target 5ms interval 100ms NoECN'],
  ])('%s', async (config, first, queue) => {
    const { run, text } = setUp();
    await run(`pipe 1 config ${config.replace('codel ecn target 500us', 'codel target 500us ecn')}`);
    const lines = (await text('pipe show')).split('\n');
    expect(lines[0]).toBe(first);
    expect(lines[1]).toBe(`q131073  50 sl. 0 flows (1 buckets) sched 65537 weight 0 lmax 0 pri 0 ${queue}`);
    expect(lines.slice(2)).toEqual([' sched 65537 type FIFO flags 0x0 0 buckets 0 active', '']);
  });

  test('red has a line of its own, queues in bytes their unit, our own options a line in their words', async () => {
    const { run, text } = setUp();
    await run('pipe 2 config queue 30KB gred 0.002/5/15/0.1 ecn');
    await run(
      'pipe 12 config queue 4000B jitter 2ms gemodel 0.01/0.3 drop 5,9 reorder 0.1 gap 3 duplicate 0.2 corrupt 0.3 mark 20',
    );
    const shown = (await text('pipe show')).split('\n');
    expect(shown[1]).toMatch(/^q131074 30 KB 0 flows .* pri 0 $/);
    expect(shown[2]).toBe('\t GRED w_q 0.002000 min_th 5 max_th 15 max_p 0.100000 (ecn)');
    expect(shown[4]).toMatch(/^00012: /);
    expect(shown[5]).toMatch(/^q131084 4000 B 0 flows/);
    expect(shown[6]).toBe(
      '\t jitter 2 ms gemodel 0.01/0.3/1/0 drop 5,9 reorder 0.1 gap 3 duplicate 0.2 corrupt 0.3 mark 20',
    );
  });

  test('a queue of the interface is a bucket', async () => {
    const { reports, run, text } = setUp([], 3);
    await run('pipe 1 config bw 1Mbit/s');
    const pipe = { number: 1, bytes: 100, queuePackets: 2, queueBytes: 200, drops: 0 };
    reports[0] = { pipes: [{ ...pipe, packets: 1 }], rules: [] };
    reports[1] = { pipes: [{ ...pipe, packets: 0 }], rules: [] };
    reports[2] = { pipes: [{ ...pipe, packets: 12_345 }], rules: [] };
    const shown = (await text('pipe show')).split('\n');
    expect(shown[1]).toContain(' 0 flows (3 buckets) ');
    expect(shown.slice(4)).toEqual([
      '  0 ip           0.0.0.0/0             0.0.0.0/0        1      100  2  200   0',
      '  2 ip           0.0.0.0/0             0.0.0.0/0     12345      100  2  200   0',
      '',
    ]);
  });

  test('the head of the table of flows comes once', async () => {
    const { reports, run, text } = setUp();
    for (const n of [1, 2, 3]) await run(`pipe ${n} config`);
    const flow = { bytes: 0, queuePackets: 0, queueBytes: 0, drops: 0 };
    reports[0] = { pipes: [1, 2, 3].map((number) => ({ ...flow, number, packets: number - 1 })), rules: [] };
    const kinds = (await text('pipe show')).split('\n').map((line) => line.slice(0, 3));
    expect(kinds).toEqual(['000', 'q13', ' sc', '000', 'q13', ' sc', 'BKT', '  0', '000', 'q13', ' sc', '  0', '']);
  });

  test('rules, with and without their counts summed over the queues', async () => {
    const { reports, run, text } = setUp([], 2);
    await run('pipe 1 config');
    expect(await text('rule add pipe 1 tcp from any to any 80 out')).toBe('00100 pipe 1 tcp from any to any 80 out\n');
    expect(await text('rule add 150 pipe 1 ip from any to any in')).toBe('00150 pipe 1 ip from any to any in\n');
    expect(await text('rule add pipe 1 udp from any to any')).toBe('00200 pipe 1 udp from any to any\n');
    reports[0] = { pipes: [], rules: [{ number: 100, packets: 5, bytes: 700 }] };
    reports[1] = { pipes: [], rules: [{ number: 100, packets: 7, bytes: 800 }] };
    expect(await text('rule list')).toBe(
      '00100 pipe 1 tcp from any to any 80 out\n00150 pipe 1 ip from any to any in\n00200 pipe 1 udp from any to any\n',
    );
    expect(await text('rule show 100 150')).toBe(
      '00100 12 1500 pipe 1 tcp from any to any 80 out\n00150  0    0 pipe 1 ip from any to any in\n',
    );
  });
});

describe('what shards are told', () => {
  test('--pipe makes pipes and rules to start with', () => {
    const { control } = setUp(['out,delay=20ms', 'in,tcp,delay=1ms']);
    expect(control.state.pipes.map((p) => [p.number, p.spec.config.delayUs])).toEqual([
      [1, 20_000],
      [2, 1000],
    ]);
    expect(control.state.rules.map((r) => [r.number, r.pipe, r.dir, r.proto])).toEqual([
      [100, 1, 'out', -1],
      [200, 2, 'in', 6],
    ]);
  });

  test('every change, in the order of the commands', async () => {
    const { control, changes, run } = setUp();
    await Promise.all([
      run('pipe 1 config delay 1ms'),
      run('rule add pipe 1 ip from any to any'),
      run('pipe 2 config'),
      run('rule add 50 pipe 2 ip from any to any in'),
      run('pipe delete 1'),
    ]);
    expect(changes.map((c) => c.kind)).toEqual(['pipe', 'rules', 'pipe', 'rules', 'delete']);
    expect(changes[3]).toMatchObject({ rules: [{ number: 50 }, { number: 100 }] });
    expect(control.state.rules.map((r) => r.number)).toEqual([50]);
    await run('rule delete 50');
    await run('flush');
    expect(changes.at(-1)).toEqual({ kind: 'flush' });
    expect(control.state).toEqual({ pipes: [], rules: [] });
  });

  test('flush says so, -q says nothing', async () => {
    const { run, text } = setUp();
    expect(await text('flush')).toBe('Flushed all pipes.\n');
    expect(await text('rule flush')).toBe('Flushed all rules.\n');
    expect(await run('flush', true)).toEqual({ text: '', notes: [] });
  });

  test('several queues with a rate are told of, as each has a link of its own', async () => {
    const { run } = setUp([], 4);
    const note =
      'pipe 1: each of the 4 queues has its own of 10 Mbit/s; for one bottleneck of all flows start with --queues 1';
    expect((await run('pipe 1 config bw 10Mbit/s')).notes).toEqual([note]);
    expect((await run('pipe 1 config delay 10ms plr 0.1')).notes).toEqual([]);
    expect((await run('pipe 1 config bw 10Mbit/s', true)).notes).toEqual([]);
    expect(setUp(['out,bw=10Mbit/s']).control.notes(4)).toEqual([note]);
    expect(setUp(['out,bw=10Mbit/s']).control.notes(1)).toEqual([]);
  });
});

describe('what is refused', () => {
  test('numbers that do not exist, with those that do; -q passes over them where they are to go', async () => {
    const { run, refusal } = setUp();
    expect(await refusal('pipe delete 3')).toBe('2 pipe 3: there is none; no pipe is configured');
    expect(await refusal('rule add pipe 3 ip from any to any')).toBe('2 pipe 3: there is none; no pipe is configured');
    await run('pipe 1 config');
    expect(await refusal('pipe 3 show')).toBe('2 pipe 3: there is none; configured are 1');
    expect(await refusal('rule show 7')).toBe('2 rule 7: there is none; no rule is there');
    await run('rule add pipe 1 ip from any to any');
    expect(await refusal('rule delete 7')).toBe('2 rule 7: there is none; there are 100');
    expect(await refusal('rule add 100 pipe 1 ip from any to any')).toBe(
      '2 rule 100: there is one of that number; delete it first, or leave the number out',
    );
    expect(await refusal('pipe delete 3', true)).toBe('accepted');
    expect(await refusal('rule delete 7', true)).toBe('accepted');
  });

  test('nothing is done before all of it is known to be right', async () => {
    const { changes, run, refusal } = setUp();
    await run('pipe 1 config');
    changes.length = 0;
    await refusal('pipe delete 1 2');
    await refusal('pipe 1 config bw x');
    expect(changes).toEqual([]);
  });

  test('commands while the shards are yet to start', async () => {
    await expect(new DummynetControl().run(['show'], false, noFile)).rejects.toThrow(/being set up; try again/);
  });
});
