/**
 * One flow twice: xsiftr on a veth pair sends to Linux over the link emulator, and the same stack sends to itself in simulation, over the same
 * delays and rate, with the same packets lost. Nothing else is lost or queued for long, so what windows do depends on packets, not on time.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENT } from './netns.ts';
import { runXsiftr, type SenderRun } from './sidebyside.ts';
import { experiment } from './sim.ts';
import { readTrace, type Trace } from './traces.ts';

export interface Twin {
  readonly cc: string;
  /** Bit/s, and µs one way. */
  readonly rate: number;
  readonly delayUs: number;
  readonly seconds: number;
  /** Data packets to lose; 1 is the first of the flow. */
  readonly drop: readonly number[];
}

/** The flow over the emulator. Its first data packet is the second there, behind the echo reply that resolved the neighbour. */
export async function onVeth(t: Twin): Promise<{ trace: Trace; run: SenderRun }> {
  const drop = t.drop.map((n) => n + 1);
  const way = { rate: t.rate, delayUs: t.delayUs };
  const run = await runXsiftr(
    { emulator: { toPeer: { ...way, drop }, toUs: { delayUs: t.delayUs } }, seconds: t.seconds },
    // No timeout is due on this path, but when the machine does not let xsiftr run.
    ['--cc', t.cc, ...PATIENT],
  );
  return { trace: readTrace(run.siftr!), run };
}

/** The flow in simulation. Its first data packet is the second there, behind the SYN. */
export function inSimulation(t: Twin): Trace {
  const dir = mkdtempSync(join(tmpdir(), 'xsiftr-twin-'));
  try {
    const siftrLog = join(dir, 'siftr.log');
    experiment({
      cc: t.cc,
      bw: t.rate,
      delay: t.delayUs / 1000,
      queue: 0,
      drop: t.drop.map((n) => n + 1).join(','),
      time: t.seconds,
      siftrLog,
    });
    return readTrace(readFileSync(siftrLog, 'utf8'));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
