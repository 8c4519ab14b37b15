import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { labMissing } from '../lab/netns.ts';
import { run } from '../lab/process.ts';
import { experiment } from '../lab/sim.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-simcap-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(labMissing('tshark'))('the capture of a simulation, judged by tshark', () => {
  test('has good checksums, the marks of the bottleneck and the times of the links', async () => {
    const path = join(dir, 'sim.pcapng');
    const report = experiment({
      cc: 'dctcp',
      bw: '20Mbit',
      delay: '5ms',
      queue: '100pkt',
      ecnThreshold: '10pkt',
      duplicate: '0.5%',
      time: '1s',
      sysctl: ['net.inet.tcp.ecn.enable=1'],
      pcap: path,
      snaplen: 0,
    });
    const fields = ['frame.interface_name', 'frame.time_epoch', 'ip.src', 'ip.dsfield.ecn', '_ws.malformed'];
    const checks = ['ip.checksum.status', 'tcp.checksum.status'];
    const { stdout } = await run([
      ...['tshark', '-r', path, '-o', 'ip.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE', '-T', 'fields'],
      ...[...fields, ...checks].flatMap((f) => ['-e', f]),
    ]);
    const rows = stdout.split('\n').map((line) => {
      const [end, time, src, ecn, malformed, ...status] = line.split('\t');
      return { end: end!, time: Number(time), data: src === '192.0.2.101', ecn: ecn!, malformed: malformed!, status };
    });
    const { data_path: data, ack_path: ack } = report;
    expect(rows).toHaveLength(data.offered + data.delivered + ack.offered + ack.delivered);
    // Status 1 is "good".
    expect(rows.filter((r) => r.malformed !== '' || r.status.some((s) => s !== '1'))).toEqual([]);
    const count = (end: string, isData: boolean, ecn: string) =>
      rows.filter((r) => r.end === end && r.data === isData && Number(r.ecn) === Number(ecn)).length;
    expect(data.marked).toBeGreaterThan(10);
    expect(count('left', true, '3')).toBe(0);
    // What is marked in the queue at the end of the experiment is still to come out.
    expect(data.marked - count('right', true, '3')).toBeLessThanOrEqual(data.queue.max_packets + 1);
    expect(count('right', true, '3')).toBeGreaterThan(10);
    const first = (end: string) => rows.find((r) => r.end === end && r.data)!.time;
    // 5 ms and 60 bytes at 20 Mbit/s.
    expect(first('right') - first('left')).toBeCloseTo(0.005024, 6);
  });
});
