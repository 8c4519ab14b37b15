import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCc } from '../../../src/sim/cc.ts';
import { SimError } from '../../../src/sim/error.ts';
import { runExperiment } from '../../../src/sim/experiment.ts';
import { commandOf, type ExperimentOptions, keyOf, SIM_OPTIONS } from '../../../src/sim/options.ts';
import { planExperiment } from '../../../src/sim/plan.ts';
import { jainIndex, percentile } from '../../../src/sim/report.ts';
import { parseSweep, Sweep } from '../../../src/sim/sweep.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-sim-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (err) {
    expect(err).toBeInstanceOf(SimError);
    expect((err as SimError).exitCode).toBe(2);
    return (err as Error).message;
  }
  throw new Error('nothing was refused');
}

describe('the plan of an experiment', () => {
  it('is one flow over 100 Mbit/s and 40 ms with a queue of one bandwidth-delay product, when nothing is said', () => {
    const p = planExperiment({});
    expect(p).toMatchObject({ seed: 1, timeUs: 10e6, mtu: 1500, rate: 100e6, rttUs: 40_000, bdpBytes: 500_000 });
    expect(p.data).toMatchObject({ rate: 100e6, delayUs: 20_000, limitBytes: 500_000, limitPackets: 0, aqm: null });
    expect(p.ack).toMatchObject({ rate: 100e6, delayUs: 20_000, limitBytes: 0, loss: 0 });
    expect(p.flows).toHaveLength(1);
    expect(p.flows[0]).toMatchObject({ startUs: 0, accessUs: 0, rttUs: 40_000 });
  });

  it('has impairments on the data path, and --loss-ack and --drop-ack on the other', () => {
    const p = planExperiment({
      loss: '0.1%',
      lossAck: '2%',
      drop: '5,9',
      dropAck: '3',
      jitter: '5ms,reorder',
      reorder: '1%,gap=5',
      duplicate: '1%',
      corrupt: 0.002,
      ecnThreshold: '20pkt',
    });
    expect(p.data).toMatchObject({
      loss: 0.001,
      drop: [5, 9],
      jitterUs: 5000,
      jitterReorder: true,
      reorder: { probability: 0.01, gap: 5, extraUs: 0 },
      duplicate: 0.01,
      corrupt: 0.002,
      ecnPackets: 20,
    });
    expect(p.ack).toMatchObject({ loss: 0.02, drop: [3], jitterUs: 0, reorder: null, duplicate: 0, corrupt: 0 });
  });

  it('reads Gilbert-Elliott loss with the defaults of tc-netem(8)', () => {
    expect(planExperiment({ loss: 'gemodel:1%,10%' }).data.gilbert).toEqual({
      p: 0.01,
      r: 0.1,
      lossBad: 1,
      lossGood: 0,
    });
    expect(planExperiment({ loss: 'gemodel 1% 10% 70% 0.1%' }).data.gilbert).toEqual({
      p: 0.01,
      r: 0.1,
      lossBad: 0.7,
      lossGood: 0.001,
    });
    expect(planExperiment({ loss: 'gemodel:25%' }).data.gilbert).toMatchObject({ p: 0.25, r: 0.75 });
  });

  it('gives each flow a round-trip time of its own on its access link', () => {
    const p = planExperiment({ delay: '10ms', flow: ['rtt=20ms', { rtt: '100ms', start: 2, bytes: '1MB' }] });
    expect(p.flows.map((f) => f.accessUs)).toEqual([0, 40_000]);
    expect(p.flows[1]).toMatchObject({ startUs: 2e6, bytes: 1048576, rttUs: 100_000 });
    // of the largest
    expect(p.bdpBytes).toBe(1_250_000);
    // without --delay the shortest is the path's
    expect(planExperiment({ flow: ['rtt=30ms', 'rtt=50ms'] }).data.delayUs).toBe(15_000);
  });

  it('starts a flow at a random time within a range, by the seed and the flow alone', () => {
    const starts = (seed: number, flow: string[]) => planExperiment({ seed, flow }).flows.map((f) => f.startUs);
    const [a, b] = starts(1, ['start=1s..3s', 'start=1s..3s']);
    for (const us of [a!, b!, ...starts(2, ['start=1s..3s'])]) {
      expect(us).toBeGreaterThanOrEqual(1e6);
      expect(us).toBeLessThan(3e6);
    }
    expect(a).not.toBe(b);
    expect(starts(1, ['start=1s..3s'])).toEqual([a]);
    expect(starts(2, ['start=1s..3s'])).not.toEqual([a]);
  });

  it('derives the thresholds of RED from the queue, or takes them', () => {
    expect(planExperiment({ queue: '240', aqm: 'red' }).data.aqm).toMatchObject({ minTh: 20, maxTh: 60, bytes: false });
    expect(planExperiment({ queue: '1200KB', aqm: 'red:ecn' }).data.aqm).toMatchObject({
      minTh: 102_400,
      maxTh: 307_200,
      bytes: true,
      ecn: true,
    });
    expect(planExperiment({ aqm: 'red:min=7,max=21,wq=0.01,p=5%' }).data.aqm).toMatchObject({
      minTh: 7,
      maxTh: 21,
      wq: 0.01,
      maxP: 0.05,
      bytes: false,
      ecn: false,
    });
  });

  it('reads CoDel with the constants of RFC 8289 sections 4.3 and 4.4', () => {
    expect(planExperiment({ aqm: 'codel' }).data.aqm).toEqual({
      kind: 'codel',
      targetUs: 5000,
      intervalUs: 100_000,
      ecn: false,
    });
    expect(planExperiment({ aqm: 'codel:target=1ms,interval=20ms,ecn' }).data.aqm).toMatchObject({
      targetUs: 1000,
      intervalUs: 20_000,
      ecn: true,
    });
  });

  it('takes a trace of rates, whose mean counts for the bandwidth-delay product', () => {
    const path = join(dir, 'trace');
    writeFileSync(path, '1\n2\n3\n4\n');
    const p = planExperiment({ trace: path, delay: '50ms' });
    expect(p.rate).toBe(12e6);
    expect(p.bdpBytes).toBe(150_000);
  });

  it('lets socket buffers and reassembly grow to what path and queue hold, unless a sysctl sets them', () => {
    const p = planExperiment({ bw: '1Gbit', delay: '50ms', queue: '2bdp' });
    expect(p.tune.tcp_sendbuf_max).toBeGreaterThanOrEqual(2 * 3 * p.bdpBytes);
    expect(p.tune.tcp_recvbuf_max).toBe(p.tune.tcp_sendbuf_max);
    expect(p.tune.ipc_maxsockbuf).toBe(p.tune.tcp_sendbuf_max);
    expect(p.tune.tcp_reass_maxqueuelen).toBeGreaterThanOrEqual((3 * p.bdpBytes) / 1448);
    expect(planExperiment({ sysctl: ['net.inet.tcp.reass.maxqueuelen=100'] }).tune.tcp_reass_maxqueuelen).toBe(100);
    expect(planExperiment({ sysctl: ['net.inet.tcp.sendspace=65536'] }).tune.tcp_sendspace).toBe(65536);
    expect(planExperiment({ sysctl: ['net.inet.siftr.ppl=10'] }).siftr).toEqual(new Map([['net.inet.siftr.ppl', 10]]));
  });

  it.each<[ExperimentOptions, string]>([
    [{ bw: '10Mbot' }, '--bw 10Mbot: a rate like'],
    [{ bw: 0 }, '--bw 0: above 0'],
    [{ delay: 'soon' }, '--delay soon: a time like'],
    [{ time: '0' }, '--time 0: above 0, at most 1e6s'],
    [{ seed: '1.5' }, '--seed 1.5: allowed is a whole number from 0 to 9007199254740991'],
    [{ seed: -1 }, '--seed -1: allowed is a whole number'],
    [{ mtu: 100 }, '--mtu 100: allowed is a whole number from 576 to 3822'],
    [{ pathMtu: 1501 }, '--path-mtu 1501: allowed is a whole number from 68 to 1500'],
    [{ pathMtu: 1400, icmp: 'no' }, '--icmp no: allowed are on and off'],
    [{ icmp: 'off' }, '--icmp off: only with --path-mtu'],
    [{ loss: '200%' }, '--loss 200%: a probability like'],
    [{ lossAck: 'x' }, '--loss-ack x: a probability like'],
    [{ loss: 'gemodel:1%,2%,3%,4%,5%' }, '--loss gemodel:1%,2%,3%,4%,5%: allowed is gemodel:P,R[,1-H[,1-K]]'],
    [{ queue: '5 cars' }, '--queue 5 cars: a queue like'],
    [{ aqm: 'pie' }, '--aqm pie: allowed are red, codel and none'],
    [{ aqm: 'red:max=x' }, '--aqm red:max=x: x: a queue like'],
    [{ aqm: 'codel:goal=5ms' }, '--aqm codel:goal=5ms: goal=5ms: codel has target, interval, ecn'],
    [{ aqm: 'red:min=5,max=5' }, 'red 5/5: max_th above min_th'],
    [{ drop: '0' }, '--drop 0: packet numbers from 1 on'],
    [{ reorder: '1%,gap=0' }, 'reorder gap 0: a whole number from 1 on'],
    [{ reorder: '1%,hop=2' }, '--reorder 1%,hop=2: hop=2: reordering has gap, extra'],
    [{ jitter: '5ms,often' }, '--jitter 5ms,often: often: jitter has reorder'],
    [{ cc: 'tahoe' }, '--cc tahoe: allowed are'],
    [{ flow: ['cc=tahoe'] }, '--flow cc=tahoe: allowed are'],
    [{ flow: ['speed=2'] }, '--flow speed=2: a flow has cc, start, stop, bytes, rtt'],
    [{ flow: ['rtt=10ms'], delay: '20ms' }, '--flow rtt=10ms: at least twice --delay, 40ms'],
    [{ flow: ['start=20s'] }, '--flow start=20s: before the end of --time'],
    [{ flow: ['start=2s,stop=1s'] }, '--flow stop=1s: after its start'],
    [{ flow: ['start=2s..1s'] }, '--flow start=2s..1s: from the earlier to the later'],
    [{ flow: ['bytes=0'] }, '--flow bytes=0: at least 1'],
    [{ flow: ['start=now'] }, '--flow start=now: a time like'],
    [{ flow: new Array(101).fill('') }, '--flow: 101 flows, at most 100 are allowed'],
    [{ receivers: 'two' }, '--receivers two: allowed are one and each'],
    [{ sysctl: ['net.inet.tcp.nothing=1'] }, "--sysctl net.inet.tcp.nothing=1: unknown oid 'net.inet.tcp.nothing'"],
    [{ sysctl: ['net.inet.tcp.sack.enable=7'] }, '--sysctl net.inet.tcp.sack.enable=7: '],
    [{ sysctl: ['net.inet.siftr.enabled=1'] }, '--sysctl net.inet.siftr.enabled=1: use --siftr-log FILE'],
    [
      { sysctl: ['net.inet.siftr.ppl=0'] },
      '--sysctl net.inet.siftr.ppl=0: allowed is a whole number from 1 to 4294967295',
    ],
    [{ sysctl: ['net.inet.siftr.hook=udp'] }, '--sysctl net.inet.siftr.hook=udp: no value of it; allowed: ip, tcp'],
    [
      { sysctl: ['net.inet.siftr.flow_filter=x'] },
      '--sysctl net.inet.siftr.flow_filter=x: allowed is at most 64 of laddr;',
    ],
    [
      { sysctl: ['net.inet.siftr.qlen=1024'] },
      '--sysctl net.inet.siftr.qlen=1024: has no effect in a simulation, whose log is one file and never waits',
    ],
    [
      { siftrLog: 's.log', pcap: 's.log.meta.json' },
      '--pcap s.log.meta.json: --siftr-log is written there; give each a file of its own',
    ],
    [{ siftrLog: '-', pcap: '-' }, '--pcap -: standard output takes --siftr-log already'],
    [{ warmup: '10s' }, '--warmup 10s: before the end of --time'],
    [{ snaplen: -1 }, '--snaplen -1: allowed is a whole number'],
  ])('refuses %j in one line that names the option', (options, line) => {
    const message = refusal(() => planExperiment(options));
    expect(message.startsWith(line), message).toBe(true);
    expect(message).not.toContain('\n');
  });

  it('refuses a trace that is none with its line, and one that cannot be read with exit status 1', () => {
    const path = join(dir, 'bad');
    writeFileSync(path, '1\n2\nthree\n');
    expect(refusal(() => planExperiment({ trace: path }))).toBe(
      `--trace ${path}: line 3: three: a whole number of milliseconds`,
    );
    expect(() => planExperiment({ trace: join(dir, 'none') })).toThrow(
      expect.objectContaining({ exitCode: 1, message: expect.stringContaining('--trace ') }),
    );
  });
});

describe('the command that runs an experiment again', () => {
  it('has every option but those for its output, in words that a shell takes', () => {
    expect(
      commandOf({
        bw: '10Mbit',
        loss: 'gemodel 1% 2%',
        lossAck: 0.01,
        seed: 7,
        flow: ['cc=newreno,rtt=40ms', { start: 1, bytes: '1MB' }],
        sysctl: ['net.inet.tcp.sack.enable=0'],
        siftrLog: 'x',
        pcap: 'y',
      }),
    ).toBe(
      "xsiftr sim --flow cc=newreno,rtt=40ms --flow start=1,bytes=1MB --sysctl net.inet.tcp.sack.enable=0 --bw 10Mbit --loss 'gemodel 1% 2%' --loss-ack 0.01 --seed 7",
    );
  });

  it('names every option as the help does', () => {
    for (const o of SIM_OPTIONS) {
      const name = /^--([\w-]+) /.exec(o.flags)![1]!;
      expect(keyOf(name)).toBe(o.key);
    }
  });
});

describe('sweeps', () => {
  it.each([
    ['seed=1..4', 'seed', ['1', '2', '3', '4']],
    ['queue=10..50..20', 'queue', ['10', '30', '50']],
    ['loss=0.01%,0.1%,1%', 'loss', ['0.01%', '0.1%', '1%']],
    ['loss-ack=0,1..2', 'lossAck', ['0', '1', '2']],
    ['aqm=red:min=5,max=15;codel', 'aqm', ['red:min=5,max=15', 'codel']],
  ])('read %s', (text, key, values) => {
    expect(parseSweep(text)).toMatchObject({ key, values });
  });

  it.each([
    ['seed', '--sweep seed: allowed is name=values'],
    ['speed=1', '--sweep speed=1: no option speed; allowed are cc, '],
    ['pcap=a,b', '--sweep pcap=a,b: no option pcap'],
    ['flow=cc=newreno', '--sweep flow=cc=newreno: no option flow'],
    ['seed=5..1', '--sweep seed=5..1: 5..1: from the smaller to the larger'],
    ['loss=1%,,2%', '--sweep loss=1%,,2%: an empty value'],
  ])('refuse %s', (text, line) => {
    expect(refusal(() => parseSweep(text)).startsWith(line)).toBe(true);
  });

  it('make the product of several axes, the last changing fastest, and check all before the first runs', () => {
    const sweep = new Sweep({ time: '10ms' }, [parseSweep('loss=0,1%'), parseSweep('seed=1..3')]);
    expect(sweep.length).toBe(6);
    const seen = [...sweep.reports()].map((r) => r.sweep);
    expect(seen).toEqual(['0', '1%'].flatMap((loss) => ['1', '2', '3'].map((seed) => ({ loss, seed }))));
    expect(refusal(() => new Sweep({}, [parseSweep('loss=1%,x')]))).toContain('--loss x: ');
    expect(refusal(() => new Sweep({}, [parseSweep('seed=1'), parseSweep('seed=2')]))).toBe(
      '--sweep seed: given twice; give all its values at once',
    );
    expect(refusal(() => new Sweep({ pcap: 'x' }, [parseSweep('seed=1')]))).toContain(
      '--sweep: each run would overwrite',
    );
  });
});

describe('numbers of the report', () => {
  // Jain, Chiu and Hawe, DEC-TR-301 (1984): k of n sharing evenly gives k/n.
  it.each([
    [[5, 5, 5, 5], 1],
    [[7, 0, 0, 0], 0.25],
    [[3, 3, 0, 0], 0.5],
    [[1, 2, 3], 36 / 42],
    [[0, 0], 1],
  ])("Jain's index of %j is %d", (values, index) => {
    expect(jainIndex(values)).toBeCloseTo(index, 12);
  });

  it('percentiles are of the nearest rank', () => {
    const v = [15, 20, 35, 40, 50];
    expect([0.05, 0.3, 0.4, 0.5, 1].map((p) => percentile(v, p))).toEqual([15, 20, 20, 35, 50]);
    expect(percentile([], 0.5)).toBe(0);
  });
});

describe('a module that throws', () => {
  it('ends its own flow, with the reason in the report', async () => {
    const path = join(dir, 'broken.mjs');
    writeFileSync(
      path,
      `export default { name: 'broken', create: () => ({
         init() {}, ackReceived() { throw new Error('out of ideas'); }, congestionSignal() {} }) };`,
    );
    await loadCc(path);
    const r = runExperiment({ bw: '10Mbit', delay: '20ms', time: '2s', flow: [`cc=${path}`, 'cc=newreno'] });
    expect(r.flows.map((f) => f.error)).toEqual(['ECONNABORTED', null]);
    expect(r.warnings).toEqual([
      expect.stringMatching(/^0\.\d+ s sender1: congestion control broken failed.*out of ideas$/),
    ]);
  });
});

describe("a congestion-control module of one's own", () => {
  it('is loaded from its file and taken by the name of the file from then on', async () => {
    const path = join(dir, 'still.mjs');
    writeFileSync(
      path,
      `export default { name: 'still', create: () => ({
         init(c) { c.snd_cwnd = c.snd_ssthresh = 4 * c.maxseg; }, ackReceived() {}, congestionSignal() {} }) };`,
    );
    expect(refusal(() => planExperiment({ cc: path }))).toContain(`--cc ${path}: allowed are newreno, cubic`);
    expect(await loadCc(path)).toBe('still');
    expect(await loadCc(path)).toBe('still');
    // The other flow is over before it loses anything: the stack would answer to that, and not the module (RFC 9937).
    const flow = ['', 'cc=newreno,bytes=50KB'];
    const r = runExperiment({ cc: path, bw: '10Mbit', delay: '20ms', time: '2s', flow });
    expect(r.flows.map((f) => f.cc)).toEqual(['still', 'newreno']);
    expect(r.flows[0]!.cwnd_bytes).toEqual({ mean: 4 * 1448, max: 4 * 1448 });
    expect(r.warnings).toEqual([]);
    await expect(loadCc('./nowhere.ts')).rejects.toMatchObject({ exitCode: 2 });
  });
});
