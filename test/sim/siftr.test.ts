import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentOptions } from '../../src/sim/index.ts';
import { experiment } from '../lab/sim.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'xsiftr-sim-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const BASE: ExperimentOptions = { bw: '20Mbit', delay: '10ms', loss: '0.5%', time: '3s', seed: 5, cc: 'newreno' };

/** The log of a run: what its first and last line say, and the data lines in fields. */
function run(sysctl: readonly string[]) {
  const siftrLog = join(dir, 'siftr.log');
  const report = experiment({ ...BASE, siftrLog, sysctl: sysctl.map((s) => `net.inet.siftr.${s}`) });
  const lines = readFileSync(siftrLog, 'utf8').trimEnd().split('\n');
  const last = new Map(
    lines
      .pop()!
      .split('\t')
      .map((pair) => pair.split('=') as [string, string]),
  );
  const first = lines.shift()!;
  const total = Number(last.get('total_tcp_pkts')) - Number(last.get('total_skipped_tcp_pkts'));
  return { report, first, total, rows: lines.map((l) => l.split(',')) };
}

describe('the SIFTR log of a simulation (docs/siftr.md)', () => {
  it('takes the modes as sysctls, names them, keeps the sum rule, and changes nothing in the run', () => {
    const plain = run([]);
    const tcp = run(['hook=tcp', 'inflight=pipe']);
    expect(plain.first).toMatch(/\tipmode=4$/);
    expect(tcp.first).toMatch(/\tipmode=4\txsiftr=hook:tcp,inflight:pipe$/);
    for (const log of [plain, tcp]) {
      expect(log.rows.length).toBe(log.total);
      expect(log.rows.every((f) => f.length === 27)).toBe(true);
    }
    // The SYN-ACK is a line now, and nothing else is more.
    expect(tcp.total).toBe(plain.total + 1);
    expect({ ...tcp.report, command: '' }).toEqual({ ...plain.report, command: '' });
    // With the pipe, an outbound line never shows more in flight than the window allowed when its segment went (RFC 5681 section 3.1): the
    // window and one segment, as limited transmit and retransmissions go by the pipe, too.
    const out = tcp.rows.filter((f) => f[0] === 'o');
    expect(out.length).toBeGreaterThan(1000);
    for (const f of out) expect(Number(f[23])).toBeLessThanOrEqual(Number(f[7]) + Number(f[14]));
  });

  it('with ppl and ppl_first logs the first packet of the flow and then every N-th', () => {
    const all = run([]);
    const some = run(['ppl=100', 'ppl_first=1']);
    expect(some.rows).toEqual(all.rows.filter((_, i) => i % 100 === 0));
  });
});
