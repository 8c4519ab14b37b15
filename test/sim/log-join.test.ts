import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Join, joinFiles } from '../../src/log/join/files.ts';
import type { JoinRow } from '../../src/log/join/join.ts';
import type { ExperimentOptions, ExperimentReport } from '../../src/sim/index.ts';
import { experiment } from '../lab/sim.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-join-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Joined {
  readonly report: ExperimentReport;
  /** Each line's row, in the order of the log, joined at either end. */
  readonly left: JoinRow[];
  readonly right: JoinRow[];
  readonly leftJoin: Join;
  readonly rightJoin: Join;
}

let n = 0;

/** One experiment whose senders' log is joined with what was captured at their end, where nothing is between, and at the receivers'. */
async function both(options: ExperimentOptions): Promise<Joined> {
  const log = join(dir, `${++n}.log`);
  const pcap = join(dir, `${n}.pcapng`);
  const report = experiment({ ...options, siftrLog: log, pcap, snaplen: 100 });
  const at = async (iface: string): Promise<[JoinRow[], Join]> => {
    const it = await joinFiles(log, pcap, { iface });
    const rows: JoinRow[] = [];
    for await (const batch of it.rows()) rows.push(...batch);
    return [rows, it];
  };
  const [left, leftJoin] = await at('left');
  const [right, rightJoin] = await at('right');
  return { report, left, right, leftJoin, rightJoin };
}

/** What makes a captured packet that one. */
function packet({ captured }: JoinRow): string {
  if (captured === null) return '-';
  const { seq, ack, len, tsval, tsecr, sack } = captured.segment;
  return [seq, ack, len, tsval, tsecr, sack].join(' ');
}

describe('a log of senders in virtual time', () => {
  test.each<[string, number, ExperimentOptions]>([
    ['loss both ways', 0, { bw: '50Mbit', loss: '1%', lossAck: '2%', time: '3s' }],
    ['packets that overtake', 0, { bw: '20Mbit', reorder: '1%', queue: '20pkt', time: '3s' }],
    ['a queue of five round trips', 0, { bw: '10Mbit', queue: '5bdp', lossAck: '10%', time: '3s' }],
    [
      'three flows',
      0.03,
      { bw: '20Mbit', delay: '50ms', flow: ['cc=cubic', 'cc=newreno,start=1s', 'start=2s,bytes=100KB'], time: '3s' },
    ],
  ])('has the same packet on its lines at the other end of a bottleneck with %s', async (_, allowed, options) => {
    const { left, right, leftJoin, rightJoin } = await both(options);
    // At the sender the capture has each packet at the very µs of its line.
    expect(leftJoin.summary.linesAlone).toEqual({ outside: 0, 'no-connection': 0, unmatched: 0 });
    expect(leftJoin.summary.segmentsAlone.unmatched).toBe(0);
    expect(left.every((row) => row.diffUs === 0)).toBe(true);
    // At the receiver a line has the packet that it has at the sender, or none where it was lost, or still under way at the end.
    expect(right).toHaveLength(left.length);
    const wrong = right.filter((row, i) => row.captured !== null && packet(row) !== packet(left[i]!));
    // What a pair says by number holds; but where the segment was lost it may be its retransmission.
    right.forEach((row, i) => {
      if (row.by === 'seq') expect(row.captured!.segment.seq).toBe(left[i]!.captured!.segment.seq);
      if (row.by === 'ack') expect(row.captured!.segment.ack).toBe(left[i]!.captured!.segment.ack);
    });
    // Retransmissions are known by order and count only, which a long row of them can mislead.
    expect(wrong.length).toBeLessThanOrEqual(allowed * left.length);
    expect(rightJoin.summary.pairs).toBeGreaterThan(0.9 * left.length);
  });

  /** The log of an experiment, changed, joined with what was captured at the senders' end, of which each packet has the very time of its line. */
  async function changed(options: ExperimentOptions, change: (log: string) => string): Promise<[JoinRow[], Join]> {
    const log = join(dir, 'changed.log');
    const pcap = join(dir, 'changed.pcapng');
    experiment({ ...options, siftrLog: log, pcap, snaplen: 100 });
    writeFileSync(log, change(readFileSync(log, 'utf8')));
    const it = await joinFiles(log, pcap, { iface: 'left' });
    const rows: JoinRow[] = [];
    for await (const batch of it.rows()) rows.push(...batch);
    expect(it.summary.linesAlone).toEqual({ outside: 0, 'no-connection': 0, unmatched: 0 });
    return [rows, it];
  }
  const later =
    (seconds: number) =>
    (log: string): string =>
      log.replace(/^([io]),(\d+)\./gm, (_, way, secs) => `${way},${Number(secs) + seconds}.`);

  test.each([2, 3])(
    'is joined whole with a capture whose clock is %d s off, though another part of the stream looks the same',
    async (seconds) => {
      const flow = ['cc=cubic', 'cc=newreno,start=1s', 'start=2s,bytes=100KB'];
      const [rows, it] = await changed({ bw: '20Mbit', delay: '50ms', flow, time: '4s' }, later(seconds));
      expect(it.summary.segmentsAlone).toMatchObject({ unmatched: 0, 'no-connection': 0 });
      expect(new Set(rows.map((row) => row.diffUs))).toEqual(new Set([-seconds * 1e6]));
    },
  );

  test('of every tenth packet is joined with a capture whose clock is a minute off', async () => {
    const options = { bw: '50Mbit', loss: '1%', lossAck: '2%', sysctl: ['net.inet.siftr.ppl=10'], time: '3s' };
    const [rows, it] = await changed(options, later(60));
    expect([it.summary.by.seq, it.summary.by.ack]).toEqual([0, 0]);
    // By time a pair can be some packets of a burst aside.
    expect(rows.filter((row) => Math.abs(row.diffUs + 60e6) < 5000).length).toBeGreaterThan(0.95 * rows.length);
  });

  test.each([
    [300, 0],
    [900, 60],
  ])(
    'without its first %d lines, and %d s off, is joined by order and time: what the SYN tells is not where its lines begin',
    async (gone, seconds) => {
      const options = { bw: '50Mbit', loss: '1%', lossAck: '2%', time: '3s' };
      const [rows, it] = await changed(options, (log) => later(seconds)(log.split('\n').toSpliced(1, gone).join('\n')));
      expect([it.offset.out + seconds * 1e6, it.offset.in + seconds * 1e6]).toEqual([0, 0]);
      expect([it.summary.by.seq, it.summary.by.ack]).toEqual([0, 0]);
      expect(rows.filter((row) => row.diffUs === -seconds * 1e6).length).toBeGreaterThan(0.95 * rows.length);
    },
  );

  test('has as many lines without a segment as the path lost', async () => {
    const { report, rightJoin } = await both({ bw: '50Mbit', loss: '0.5%', time: '3s' });
    const { loss: lost } = report.data_path.dropped;
    expect(lost).toBeGreaterThan(5);
    expect(rightJoin.summary.linesAlone.unmatched).toBe(lost);
    expect(rightJoin.summary.segmentsAlone).toMatchObject({ unmatched: 0, 'no-connection': 0 });
    expect(rightJoin.summary.by.seq).toBeGreaterThan(1000);
    expect(rightJoin.summary.by.ack).toBeGreaterThan(100);
  });
});
