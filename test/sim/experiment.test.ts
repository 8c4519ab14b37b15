import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type ExperimentHooks, type ExperimentOptions, runExperiment } from '../../src/sim/index.ts';
import { TA_INPUT_DONE, TA_OUTPUT_DONE } from '../../src/stack/tcp/tcp-trace.ts';
import { checkStack } from '../lab/invariants.ts';
import fc from '../lab/property.ts';
import { experiment } from '../lab/sim.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-sim-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('an experiment', () => {
  it('delivers all bytes of a flow over a clean path, in the time that the path takes', () => {
    experiment({ bw: '10Mbit', delay: '10ms', queue: '0', time: '10s', flow: ['bytes=1MB'] }, (r) => {
      const [f] = r.flows;
      expect(f).toMatchObject({ completed: true, bytes: 1048576, retransmitted_segments: 0, timeouts: 0, error: null });
      // 725 segments of 1448 bytes; every packet has 52 bytes of headers more.
      expect(f!.segments_sent).toBe(Math.ceil(1048576 / 1448));
      expect(r.data_path.dropped).toEqual({ loss: 0, overflow: 0, aqm: 0 });
      const sending = ((1048576 + 725 * 52) * 8) / 10e6;
      expect(f!.end_s).toBeGreaterThan(sending + 0.04);
      // Slow start from ten segments wastes a few round trips.
      expect(f!.end_s).toBeLessThan(sending + 0.2);
      expect(f!.goodput_bps).toBeCloseTo((1048576 * 8) / f!.end_s, -1);
    });
  });

  it('times segments exactly: the least is the base round trip and what the packets take to be sent', () => {
    experiment({ bw: '10Mbit', delay: '10ms', time: '2s', flow: ['bytes=100KB'] }, (r) => {
      // SYN and SYN,ACK of 60 bytes each: 20 ms and 2 * 48 µs.
      expect(r.flows[0]!.rtt_us.min).toBe(20_096);
      expect(r.flows[0]!.rtt_us.samples).toBeGreaterThan(10);
    });
  });

  it('has as many round-trip samples as ACKs that cover nothing sent again', () => {
    let acks = 0;
    let una = 0;
    experiment(
      { bw: '10Mbit', delay: '10ms', queue: '0', time: '1s' },
      (r) => expect(r.flows[0]!.rtt_us.samples).toBe(acks),
      {
        onReady: (d) => {
          const trace = d.senders[0]!.st.tcp.trace!;
          d.senders[0]!.st.tcp.trace = (tp, act, arg, seq, len) => {
            trace(tp, act, arg, seq, len);
            if (act === TA_OUTPUT_DONE && una === 0) una = tp.snd_una;
            if (act !== TA_INPUT_DONE || tp.snd_una === una) return;
            una = tp.snd_una;
            acks++;
          };
        },
      },
    );
  });

  it('keeps the queue within its limit, and fills it', () => {
    experiment({ bw: '20Mbit', delay: '10ms', queue: '30pkt', time: '5s' }, (r) => {
      expect(r.data_path.queue.max_packets).toBe(30);
      expect(r.data_path.queue.mean_packets).toBeGreaterThan(0);
      expect(r.data_path.dropped.overflow).toBeGreaterThan(0);
      expect(r.data_path.delivered_bytes * 8).toBeLessThanOrEqual(20e6 * 5);
      expect(r.flows[0]!.goodput_bps).toBeLessThan(20e6);
    });
  });

  it('loses exactly the packets that are named', () => {
    experiment({ bw: '10Mbit', time: '3s', drop: '3,7', flow: ['bytes=200KB'] }, (r) => {
      expect(r.data_path.dropped.loss).toBe(2);
      expect(r.flows[0]).toMatchObject({ completed: true, error: null });
      expect(r.flows[0]!.retransmitted_segments).toBeGreaterThanOrEqual(2);
    });
  });

  it('follows a trace of rates', () => {
    experiment({ bw: '12Mbit', time: '3s' }, (constant) => {
      const path = join(dir, 'trace');
      // One packet a millisecond: the same 12 Mbit/s.
      writeFileSync(path, '1\n');
      experiment({ trace: path, time: '3s' }, (traced) => {
        expect(traced.data_path.rate_bps).toBe(constant.data_path.rate_bps);
        expect(traced.data_path.utilization).toBeLessThanOrEqual(1);
        expect(traced.flows[0]!.bytes / constant.flows[0]!.bytes).toBeGreaterThan(0.9);
        expect(traced.flows[0]!.bytes / constant.flows[0]!.bytes).toBeLessThan(1.1);
      });
    });
  });

  it('counts from the end of the warm-up on, as if what was before had not been', () => {
    const options: ExperimentOptions = { bw: '10Mbit', time: '6s', loss: '0.2%', flow: ['', 'start=1s', 'start=5s'] };
    const whole = experiment(options);
    const half = experiment({ ...options, time: '3s', flow: ['', 'start=1s'] });
    experiment({ ...options, warmup: '3s' }, (r) => {
      r.flows.slice(0, 2).forEach((f, i) => {
        const [all, first] = [whole.flows[i]!, half.flows[i]!];
        expect(f.bytes).toBe(all.bytes - first.bytes);
        expect(f.goodput_bps).toBe(Math.round((f.bytes * 8) / 3));
        expect(f.retransmitted_segments).toBe(all.retransmitted_segments - first.retransmitted_segments);
        expect(f.segments_sent).toBe(all.segments_sent - first.segments_sent);
        expect(f.rtt_us.samples).toBe(all.rtt_us.samples - first.rtt_us.samples);
      });
      // One that begins later has all of its own.
      expect(r.flows[2]).toEqual(whole.flows[2]);
      for (const key of ['offered', 'delivered', 'delivered_bytes'] as const) {
        expect(r.data_path[key]).toBe(whole.data_path[key] - half.data_path[key]);
      }
      expect(r.data_path.queue.mean_packets).toBeCloseTo(
        2 * whole.data_path.queue.mean_packets - half.data_path.queue.mean_packets,
        1,
      );
    });
  });

  it('goes on when a caller changes the path in the middle of it', () => {
    const rates: number[] = [];
    const hooks: ExperimentHooks = {
      onReady: (d, [flow]) => {
        const { data } = d;
        d.net.at(3e6, () => data.reconfigure({ ...data.pipe.config, rate: 2e6 }));
        for (const s of [2, 3, 7, 9]) d.net.at(s * 1e6, () => rates.push(flow!.delivered));
      },
    };
    experiment(
      { bw: '20Mbit', delay: '5ms', time: '10s' },
      () => {
        expect(((rates[1]! - rates[0]!) * 8) / 1e6).toBeGreaterThan(15);
        expect(((rates[3]! - rates[2]!) * 8) / 2e6).toBeGreaterThan(1);
        expect(((rates[3]! - rates[2]!) * 8) / 2e6).toBeLessThanOrEqual(2);
      },
      hooks,
    );
  });

  it('starts, stops and times each flow on its own', () => {
    experiment({ bw: '20Mbit', flow: ['stop=2s', 'start=1s,rtt=100ms', 'start=1.5s,bytes=10KB'], time: '4s' }, (r) => {
      expect(r.flows.map((f) => [f.start_s, f.end_s, f.completed])).toEqual([
        [0, 2, false],
        [1, 4, false],
        [1.5, expect.any(Number), true],
      ]);
      expect(r.flows[1]!.rtt_us.min).toBeGreaterThanOrEqual(100_000);
      expect(r.flows[0]!.rtt_us.min).toBeLessThan(50_000);
      expect(r.goodput_bps).toBe(Math.round((r.flows.reduce((n, f) => n + f.bytes, 0) * 8) / 4));
    });
  });

  it('reports a connection that cannot be made', () => {
    const nothing = { bw: '10Mbit', loss: 1, time: '200s' };
    experiment(nothing, (r) => {
      // Not even the neighbour answers, whom TCP has asked for after three SYNs (RFC 9293 section 3.8.3, R1).
      expect(r.flows[0]).toMatchObject({ bytes: 0, error: 'EHOSTUNREACH', completed: false });
    });
  });

  it('counts what a stack with other sysctls does', () => {
    const options: ExperimentOptions = { bw: '10Mbit', queue: '0', time: '2s', flow: ['bytes=500KB'] };
    const delayed = experiment(options);
    const every = experiment({ ...options, sysctl: ['net.inet.tcp.delayed_ack=0'] });
    expect(every.ack_path.offered).toBeGreaterThan(1.5 * delayed.ack_path.offered);
  });
});

describe('whatever a path does to packets', () => {
  const options = fc.record({
    seed: fc.nat(1e6),
    bw: fc.constantFrom('2Mbit', '20Mbit', '200Mbit'),
    delay: fc.constantFrom('0', '1ms', '30ms'),
    queue: fc.constantFrom('5', '1bdp', '0'),
    loss: fc.constantFrom('0', '1%', '5%', 'gemodel:1%,30%'),
    lossAck: fc.constantFrom('0', '3%'),
    reorder: fc.constantFrom('0', '5%', '5%,extra=4ms'),
    jitter: fc.constantFrom('0', '2ms', '2ms,reorder'),
    duplicate: fc.constantFrom('0', '3%'),
    corrupt: fc.constantFrom('0', '3%'),
    mtu: fc.constantFrom(576, 1500, 3822),
    cc: fc.constantFrom('newreno', 'cubic', 'dctcp', 'bbr', 'bbr1'),
    flow: fc.constantFrom(['bytes=100KB'], ['bytes=100KB', 'bytes=50KB,start=0.1s']),
  });

  it('the receiver gets exactly the bytes that were sent, invariants hold at every step, and nothing is left behind', () => {
    fc.assert(
      fc.property(options, (o) => {
        experiment(
          { ...o, time: '600s' },
          (r) => {
            for (const f of r.flows) expect(f).toMatchObject({ completed: true, error: null });
          },
          {
            // What holds of sequence numbers, scoreboard, windows and timers between any two events.
            onStep: (d) => {
              for (const n of d.net.nodes) checkStack(n.st);
            },
            onEnd: (d) => {
              expect(d.net.frames.out).toBe(0);
              for (const n of d.net.nodes) {
                n.st.flush();
                expect(n.pool.held).toBe(0);
              }
            },
          },
        );
      }),
      { numRuns: 60, seed: 3 },
    );
  });
});

describe('files', () => {
  it('the SIFTR log accounts for every packet of the senders (spec/siftr.md section 7)', () => {
    const path = join(dir, 'log');
    const r = experiment({ bw: '50Mbit', time: '5s', loss: '0.5%', siftrLog: path, flow: ['', 'start=1s'] });
    const lines = readFileSync(path, 'latin1').trimEnd().split('\n');
    const number = (key: string) => Number(new RegExp(`\\b${key}=(\\d+)`).exec(lines.at(-1)!)![1]);
    expect(lines[0]).toMatch(/^enable_time_secs=0\tenable_time_usecs=000000\tsiftrver=1\.3\.0\t/);
    expect(lines.at(-1)).toMatch(/^disable_time_secs=5\tdisable_time_usecs=000000\t/);
    expect(lines.length - 2).toBe(number('total_tcp_pkts') - number('total_skipped_tcp_pkts'));
    expect(number('num_outbound_tcp_pkts')).toBe(r.data_path.offered);
    expect(number('num_inbound_tcp_pkts')).toBe(r.ack_path.delivered);
    expect(number('num_outbound_skipped_pkts_malloc')).toBe(0);
    const times = lines.slice(1, -1).map((l) => Number(l.split(',')[1]));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(new Set(lines.slice(1, -1).map((l) => l.split(',')[2]))).toEqual(new Set(['192.0.2.101', '192.0.2.102']));
  });

  it('the capture has every packet at both ends of the bottleneck (draft-ietf-opsawg-pcapng sections 4.1 to 4.3)', () => {
    const path = join(dir, 'pcap');
    const r = experiment({ bw: '10Mbit', time: '2s', loss: '1%', pcap: path, snaplen: 64 });
    const buf = readFileSync(path);
    const blocks: { type: number; at: number; len: number }[] = [];
    for (let at = 0; at < buf.length; ) {
      const len = buf.readUInt32LE(at + 4);
      expect(len % 4).toBe(0);
      expect(buf.readUInt32LE(at + len - 4)).toBe(len);
      blocks.push({ type: buf.readUInt32LE(at), at, len });
      at += len;
    }
    expect(blocks.slice(0, 3).map((b) => b.type)).toEqual([0x0a0d0d0a, 1, 1]);
    const packets = blocks.slice(3);
    const at = (end: number, direction: number) =>
      packets.filter((b) => buf.readUInt32LE(b.at + 8) === end && buf.readUInt32LE(b.at + b.len - 12) === direction)
        .length;
    expect(packets.every((b) => b.type === 6)).toBe(true);
    expect([at(0, 2), at(1, 1), at(1, 2), at(0, 1)]).toEqual([
      r.data_path.offered,
      r.data_path.delivered,
      r.ack_path.offered,
      r.ack_path.delivered,
    ]);
    for (const b of packets) {
      expect(buf.readUInt32LE(b.at + 20)).toBe(Math.min(64, buf.readUInt32LE(b.at + 24)));
    }
  });

  it('that cannot be written are refused with exit status 1', () => {
    for (const key of ['siftrLog', 'pcap'] as const) {
      expect(() => runExperiment({ [key]: join(dir, 'no/such/file') })).toThrow(
        expect.objectContaining({
          exitCode: 1,
          message: expect.stringMatching(/: ENOENT: no such file or directory$/),
        }),
      );
    }
  });
});

describe('a case that fails', () => {
  it('says by which command it is run again', () => {
    const fail = () =>
      experiment({ time: '10ms', seed: 99, loss: '1%' }, () => {
        throw new Error('not what was wanted');
      });
    expect(fail).toThrow('not what was wanted\nreplay: xsiftr sim --loss 1% --time 10ms --seed 99');
  });
});
