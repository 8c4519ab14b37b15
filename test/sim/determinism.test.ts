import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from '../lab/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'xsiftr-sim-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const OPTIONS = [
  ...['--flow', 'start=0s,rtt=30ms', '--flow', 'start=0.4s,rtt=50ms,bytes=300KB', '--flow', 'rtt=30ms,stop=1.5s'],
  ...['--bw', '20Mbit', '--queue', '0.5bdp', '--aqm', 'red:ecn', '--loss', 'gemodel:0.5%,20%', '--loss-ack', '0.1%'],
  ...['--jitter', '1ms,reorder', '--reorder', '0.5%', '--duplicate', '0.2%', '--corrupt', '0.2%', '--time', '3s'],
];

interface Outcome {
  readonly json: string;
  readonly siftr: Buffer;
  readonly pcap: Buffer;
}

/** One run of the command in a process of its own, in a folder of its own so that the command lines are the same. */
async function simulate(name: string, seed: number, more: readonly string[] = []): Promise<Outcome> {
  const cwd = join(dir, name);
  mkdirSync(cwd);
  const { stdout } = await run(
    [
      process.execPath,
      join(ROOT, 'src/cli/main.ts'),
      'sim',
      ...OPTIONS,
      ...['--seed', String(seed), '--siftr-log', 'log', '--pcap', 'pcap', '--snaplen', '0', '--json', ...more],
    ],
    { cwd, env: { ...process.env, TZ: name.length % 2 === 0 ? 'UTC' : 'Asia/Tokyo' } },
  );
  return { json: stdout, siftr: readFileSync(join(cwd, 'log')), pcap: readFileSync(join(cwd, 'pcap')) };
}

describe('the same seed', () => {
  it('gives the same SIFTR log, the same capture and the same report, byte for byte, in two processes', async () => {
    const [a, b] = await Promise.all([simulate('a', 42), simulate('bb', 42)]);
    expect(a!.siftr.length).toBeGreaterThan(100_000);
    expect(a!.pcap.length).toBeGreaterThan(1_000_000);
    expect(b!.siftr.equals(a!.siftr)).toBe(true);
    expect(b!.pcap.equals(a!.pcap)).toBe(true);
    expect(b!.json).toBe(a!.json);
  });

  it('gives the same packets whether or not anybody looks', async () => {
    const bare = await run(
      [process.execPath, join(ROOT, 'src/cli/main.ts'), 'sim', ...OPTIONS, '--seed', '42', '--json'],
      {},
    );
    const watched = await simulate('c', 42);
    expect(watched.json).toBe(bare.stdout);
  });
});

describe('another seed', () => {
  it('gives another outcome', async () => {
    const [a, b] = await Promise.all([simulate('d', 1), simulate('e', 2)]);
    expect(b!.pcap.equals(a!.pcap)).toBe(false);
    expect(b!.siftr.equals(a!.siftr)).toBe(false);
  });
});
