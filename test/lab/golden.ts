/** The golden table: goodput for loss × buffer × algorithm at 100 ms, beside what theory says. */
import { expect } from 'vitest';
import type { ExperimentReport } from '../../src/sim/index.ts';
import { experiment } from './sim.ts';

/** Payload of a segment with timestamps at an MTU of 1500, bytes. */
const MSS = 1448;
/** The same with its headers, as the bottleneck counts it. */
const PACKET = 1500;
const RTT = 0.1;
const SEEDS = 10;

export interface Cell {
  readonly cc: string;
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

/** Runs a cell with every seed; reports by goodput. */
function runCell(cell: Cell, bw: number): ExperimentReport[] {
  return Array.from({ length: SEEDS }, (_, i) => {
    let report!: ExperimentReport;
    experiment(
      {
        cc: cell.cc,
        bw: `${bw / 1e6}Mbit`,
        delay: '50ms',
        queue: cell.queue,
        loss: `${cell.loss * 100}%`,
        warmup: `${cell.warmup}s`,
        time: `${cell.warmup + cell.seconds}s`,
        seed: i + 1,
      },
      (r) => {
        expect(r.flows[0]!.error).toBe(null);
        report = r;
      },
    );
    return report;
  }).sort((a, b) => a.goodput_bps - b.goodput_bps);
}

/** The middle one of an odd number, or the lower of the two middle ones. */
function median(sorted: readonly ExperimentReport[]): ExperimentReport {
  return sorted[(sorted.length - 1) >> 1]!;
}

/** A line of the table. */
function line(cell: Cell, got: number, wanted: number): string {
  const mbit = (n: number): string => (n / 1e6).toFixed(2).padStart(7);
  return `${cell.cc.padEnd(8)} ${`${(cell.loss * 100).toFixed(2)} %`.padStart(7)} ${cell.queue.padStart(7)} ${mbit(got)} ${mbit(wanted)} ${(got / wanted).toFixed(2).padStart(6)}`;
}

const HEAD = 'module      loss   queue    got  theory  ratio (medians of ten seeds, Mbit/s)';

/** Losses and buffers of the table; a lower loss needs longer for 20 of them. */
export function cellsOf(cc: string, seconds: (loss: number) => number, warmup: (loss: number) => number): Cell[] {
  return [0.0001, 0.001, 0.01].flatMap((loss) =>
    ['0.5bdp', '2bdp'].map((queue) => ({ cc, loss, queue, warmup: warmup(loss), seconds: seconds(loss) })),
  );
}

/**
 * Runs the cells, prints the table, and gives the cells whose median is not within [low, high] of theory, as `cc loss% queue`.
 * @param theory goodput, bit/s
 */
export function offTheory(
  cells: readonly Cell[],
  bw: number,
  theory: (cell: Cell) => number,
  low: number,
  high: number,
): string[] {
  const table = [HEAD];
  const off: string[] = [];
  for (const cell of cells) {
    const m = median(runCell(cell, bw));
    const wanted = theory(cell);
    // Fewer than 20 losses are no steady state of a window that answers each; a bottleneck that is full needs none.
    if (wanted < bottleneck(bw, cell.loss)) expect(m.flows[0]!.retransmitted_segments).toBeGreaterThanOrEqual(20);
    const ratio = m.goodput_bps / wanted;
    if (ratio < low || ratio > high) off.push(`${cell.cc} ${cell.loss * 100} ${cell.queue}`);
    table.push(line(cell, m.goodput_bps, wanted));
  }
  console.log(table.join('\n'));
  return off;
}
