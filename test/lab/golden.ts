/** The golden table: goodput for loss × buffer × algorithm at 100 ms, beside what theory says. */
import { expect } from 'vitest';
import type { ExperimentReport } from '../../src/sim/index.ts';
import { experiment } from './sim.ts';

/** Payload of a segment with timestamps at an MTU of 1500, bytes. */
const MSS = 1448;
/** The same with its headers, as the bottleneck counts it. */
const PACKET = 1500;
const RTT = 0.1;
/** The seeds that `make test` runs. */
export const SEEDS = Array.from({ length: 10 }, (_, i) => i + 1);

export interface Cell {
  readonly cc: string;
  /** Rate of the bottleneck, bit/s. */
  readonly bw: number;
  /** Independent loss of data packets. */
  readonly loss: number;
  readonly queue: string;
  /** Of which nothing is counted: until the overshoot of the first slow start is forgotten. */
  readonly warmup: number;
  readonly seconds: number;
}

/** Mathis, Semke, Mahdavi and Ott (1997), equation 3 with an ACK for every segment: the window is sqrt(3/2p) segments. */
export function mathis(p: number): number {
  return Math.sqrt(1.5 / p);
}

/**
 * RFC 9438 section 5.1, equation 6 with its C = 0.4 and beta = 0.7: the average window of the concave region; and that of section 4.3's
 * Reno-friendly region, which is Reno's, where that is larger.
 */
export function cubicWindow(p: number): number {
  const beta = 0.7;
  const concave = ((0.4 * (3 + beta)) / (4 * (1 - beta))) ** 0.25 * (RTT ** 0.75 / p ** 0.75);
  return Math.max(concave, mathis(p));
}

/** Goodput of an average window of `segments`, bit/s, at most what the bottleneck of `bw` bit/s carries of payload. */
export function goodputOf(segments: number, bw: number, loss: number): number {
  return Math.min((segments * MSS * 8) / RTT, bottleneck(bw, loss));
}

/** Payload that a bottleneck of `bw` bit/s delivers, bit/s: what is lost behind it does not count. */
export function bottleneck(bw: number, loss: number): number {
  return bw * (MSS / PACKET) * (1 - loss);
}

/**
 * Share of the bottleneck that draft-ietf-ccwg-bbr gives a flow under independent loss, by its own simplified model: "the BBR sending rate after N
 * rounds of packet loss at a rate loss_rate is reduced to (1 - loss_rate)^N" (section 5.3.3.8.3), and each such round paces 1 % below what the
 * last one delivered besides (BBR.PacingMarginPercent, section 5.6.2). A cycle is 2.5 s in the mean from UP to REFILL (T_bbr), with the full
 * rate for the three rounds of UP and the one of DOWN that still has its queue; every 5 s ProbeRTT halves the window for 200 ms and a round. What
 * the model leaves out is worth a few hundredths: bw_latest is the best of the samples of a round, not their mean.
 */
export function bbrShare(p: number, bw: number): number {
  const packets = (bw * RTT) / 8 / PACKET;
  const lossy = 1 - (1 - p) ** packets;
  const g = 1 - lossy * (1 - (1 - p) * 0.99);
  const full = 4;
  const cruise = Math.round(2.5 / RTT) - 1;
  const falling = (1 - g ** cruise) / (1 - g);
  // REFILL is seen a round later: it delivers what was sent at the end of CRUISE.
  const cycle = (full + falling + g ** cruise) / (full + cruise + 1);
  const probeRtt = 0.2 + RTT;
  return (cycle * (5 - probeRtt) + 0.5 * probeRtt) / 5;
}

/** Runs a cell with one seed. */
export function runCell(cell: Cell, seed: number): ExperimentReport {
  return experiment(
    {
      cc: cell.cc,
      bw: `${cell.bw / 1e6}Mbit`,
      delay: '50ms',
      queue: cell.queue,
      loss: `${cell.loss * 100}%`,
      warmup: `${cell.warmup}s`,
      time: `${cell.warmup + cell.seconds}s`,
      seed,
    },
    (r) => {
      expect(r.flows[0]!.error).toBe(null);
    },
  );
}

/** What of a run the table is made of. */
export interface CellRun {
  readonly goodput: number;
  readonly retransmitted: number;
}

export function cellRun(r: ExperimentReport): CellRun {
  return { goodput: r.goodput_bps, retransmitted: r.flows[0]!.retransmitted_segments };
}

/** A line of the table. */
function line(cell: Cell, got: number, wanted: number): string {
  const mbit = (n: number): string => (n / 1e6).toFixed(2).padStart(7);
  return `${cell.cc.padEnd(8)} ${`${(cell.loss * 100).toFixed(2)} %`.padStart(7)} ${cell.queue.padStart(7)} ${mbit(got)} ${mbit(wanted)} ${(got / wanted).toFixed(2).padStart(6)}`;
}

/** What a module should reach: cells, theory, how near to it, and the cells that are further off, each with the share that it still reaches. */
export interface Golden {
  readonly cells: readonly Cell[];
  /** Goodput, bit/s. */
  readonly theory: (cell: Cell) => number;
  readonly low: number;
  readonly high: number;
  /** By `loss% queue`. */
  readonly exceptions: Readonly<Record<string, number>>;
}

/** Losses and buffers of the table; a lower loss needs longer for 20 of them. */
function cellsOf(cc: string, bw: number, seconds: (loss: number) => number, warmup: (loss: number) => number): Cell[] {
  return [0.0001, 0.001, 0.01].flatMap((loss) =>
    ['0.5bdp', '2bdp'].map((queue) => ({ cc, bw, loss, queue, warmup: warmup(loss), seconds: seconds(loss) })),
  );
}

const BBR_BW = 20e6;

/** By module. */
export const GOLDEN: Readonly<Record<string, Golden>> = {
  newreno: {
    cells: cellsOf(
      'newreno',
      40e6,
      (loss) => (loss > 0.0001 ? 60 : 160),
      (loss) => (loss > 0.0001 ? 20 : 60),
    ),
    theory: (c) => goodputOf(mathis(c.loss), c.bw, c.loss),
    low: 0.8,
    high: 1.2,
    exceptions: {},
  },
  cubic: {
    cells: cellsOf(
      'cubic',
      40e6,
      (loss) => (loss > 0.0001 ? 60 : 100),
      (loss) => (loss > 0.0001 ? 20 : 60),
    ),
    theory: (c) => goodputOf(cubicWindow(c.loss), c.bw, c.loss),
    low: 0.8,
    high: 1.2,
    exceptions: {},
  },
  bbr: {
    cells: cellsOf(
      'bbr',
      BBR_BW,
      () => 40,
      () => 5,
    ),
    theory: (c) => bottleneck(c.bw, c.loss),
    low: 0.9,
    high: 1.1,
    exceptions: { '1 0.5bdp': bbrShare(0.01, BBR_BW), '1 2bdp': bbrShare(0.01, BBR_BW) },
  },
};

export const cellName = (c: Cell): string => `${c.loss * 100} ${c.queue}`;

/**
 * Judges the runs of each cell by their median (of an even number the lower of the two in the middle). The text is the table.
 * @param runs of each cell, in the order of `g.cells`
 * @returns the cells that are too far from theory, and those that are named as exceptions and are not
 */
export function judge(g: Golden, runs: readonly (readonly CellRun[])[]): { table: string; faults: string[] } {
  const table = [`module      loss   queue    got  theory  ratio (medians of ${runs[0]!.length} seeds, Mbit/s)`];
  const faults: string[] = [];
  g.cells.forEach((cell, i) => {
    const sorted = [...runs[i]!].sort((a, b) => a.goodput - b.goodput);
    const m = sorted[(sorted.length - 1) >> 1]!;
    const wanted = g.theory(cell);
    const ratio = m.goodput / wanted;
    table.push(line(cell, m.goodput, wanted));
    const name = `${cell.cc} ${cellName(cell)}`;
    // Fewer than 20 losses are no steady state of a window that answers each; a bottleneck that is full needs none.
    if (wanted < bottleneck(cell.bw, cell.loss) && m.retransmitted < 20)
      faults.push(`${name}: ${m.retransmitted} losses`);
    const except = g.exceptions[cellName(cell)];
    if (ratio < (except ?? g.low) || ratio > g.high) faults.push(`${name}: ${ratio.toFixed(3)} of theory`);
    else if (except !== undefined && ratio >= g.low) faults.push(`${name}: ${ratio.toFixed(3)}, no exception any more`);
  });
  return { table: table.join('\n'), faults };
}

/** Runs all cells of a module with `seeds`, prints the table, gives the faults. */
export function goldenFaults(cc: string, seeds: readonly number[]): string[] {
  const g = GOLDEN[cc]!;
  const { table, faults } = judge(
    g,
    g.cells.map((cell) => seeds.map((seed) => cellRun(runCell(cell, seed)))),
  );
  console.log(table);
  return faults;
}
