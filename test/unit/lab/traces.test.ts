import { describe, expect, test } from 'vitest';
import { likeness, readTrace, sample } from '../../lab/traces.ts';

const ENABLE =
  'enable_time_secs=1685191807\tenable_time_usecs=160752\tsiftrver=1.3.0\tsysname=xsiftr\tsysver=1000100\tipmode=4';

interface Row {
  readonly dir?: 'i' | 'o';
  /** Seconds, behind 1685191814. */
  readonly at: number;
  readonly cwnd: number;
  readonly ssthresh?: number;
  readonly inFlight?: number;
  /** TF_FASTRECOVERY. */
  readonly recovery?: boolean;
  readonly port?: number;
}

/** A line in the shape of siftr(4)'s example. */
function line({
  dir = 'o',
  at,
  cwnd,
  ssthresh = 1073725440,
  inFlight = 0,
  recovery = false,
  port = 32291,
}: Row): string {
  const time = (1685191814 + at).toFixed(6);
  const flags = 16778209 + (recovery ? 0x00100000 : 0);
  return `${dir},${time},10.1.1.2,${port},10.1.1.3,5001,${ssthresh},${cwnd},2,65160,65700,7,9,4,1460,1000,1,${flags},230000,33580,0,65700,0,${inFlight},0,86707916,130`;
}

const log = (rows: readonly Row[], enable = ENABLE) => [enable, ...rows.map(line), ''].join('\n');

/** A sender that halves `cwnd` from 20000 every second, first at `phase`, and grows by 1000 every 0.1 s between. */
function sawtooth(phase: number, seconds: number, scale = 1): string {
  const rows: Row[] = [{ at: 0, cwnd: 10_000 * scale, inFlight: 0 }];
  let ssthresh = 1073725440;
  let cwnd = 10_000 * scale;
  for (let n = 1; n <= seconds * 10; n++) {
    cwnd += 1000 * scale;
    const recovery = n > 1 && n % 10 === phase;
    if (recovery) {
      ssthresh = cwnd / 2;
      cwnd = ssthresh;
    }
    rows.push({ at: n / 10, cwnd, ssthresh, recovery, inFlight: cwnd - 1000 });
  }
  return log(rows);
}

describe('a trace out of a SIFTR log (spec/siftr.md section 3)', () => {
  const rows: Row[] = [
    { dir: 'o', at: 1, cwnd: 14480 },
    { dir: 'i', at: 2, cwnd: 14480 },
    { dir: 'o', at: 3, cwnd: 14480 },
    { dir: 'o', at: 3.25, cwnd: 14480, inFlight: 1448 },
    { dir: 'i', at: 4, cwnd: 14480, inFlight: 2896 },
    { dir: 'o', at: 4, cwnd: 15928, inFlight: 1448 },
  ];

  test('begins with the first data packet: the last `o` line before data is in flight (section 5.3)', () => {
    const t = readTrace(log(rows));
    expect(t.flow).toBe('10.1.1.2;32291-10.1.1.3;5001');
    expect(t.seconds).toEqual([0, 0.25, 1, 1]);
    expect(t.sent).toEqual([1, 2, 2, 3]);
    expect(t.cwnd).toEqual([14480, 14480, 14480, 15928]);
    expect(t.inFlight).toEqual([0, 1448, 2896, 1448]);
  });

  test('with hook=tcp begins with the first line that has data in flight (section 14 item 5)', () => {
    const t = readTrace(log(rows, `${ENABLE}\txsiftr=hook:tcp`));
    expect(t.seconds).toEqual([0, 0.75, 0.75]);
    expect(t.sent).toEqual([1, 1, 2]);
  });

  test('is of the flow that was named, else of the one with the most lines', () => {
    const both = [{ at: 0.5, cwnd: 2920, inFlight: 1460, port: 7 }, ...rows];
    expect(readTrace(log(both)).flow).toBe('10.1.1.2;32291-10.1.1.3;5001');
    expect(readTrace(log(both), '10.1.1.2;7-10.1.1.3;5001').cwnd).toEqual([2920]);
    expect(() => readTrace(log(both), '10.1.1.2;8-10.1.1.3;5001')).toThrow('no flow 10.1.1.2;8-10.1.1.3;5001');
  });

  test('refuses a flow without data and a line that is cut', () => {
    expect(() => readTrace(log(rows.slice(0, 2)))).toThrow('never had data in flight');
    expect(() => readTrace(`${log(rows)}o,1685191820.000000,10.1.1.2`)).toThrow('line 8: 3 fields instead of 27');
  });

  test('counts a reduction where ssthresh falls below the cwnd that was, and none where it is put back', () => {
    const t = readTrace(
      log([
        { at: 0, cwnd: 20_000 },
        { at: 1, cwnd: 20_000, inFlight: 1 },
        { at: 2, cwnd: 14_000, ssthresh: 14_000, inFlight: 1 },
        { at: 3, cwnd: 20_000, ssthresh: 1073725440, inFlight: 1 },
        { at: 4, cwnd: 10_000, ssthresh: 10_000, inFlight: 1 },
        { at: 5, cwnd: 12_000, ssthresh: 10_000, inFlight: 1 },
      ]),
    );
    expect(t.reductions).toEqual([2, 4]);
    expect(t.at).toEqual([
      { sent: 3, cwnd: 20_000 },
      { sent: 5, cwnd: 20_000 },
    ]);
  });

  test('counts one where a recovery begins, though ssthresh is what it was, and one for both together', () => {
    const t = readTrace(
      log([
        { at: 0, cwnd: 20_000 },
        { at: 1, cwnd: 10_000, ssthresh: 10_000, inFlight: 1, recovery: true },
        { at: 2, cwnd: 9_000, ssthresh: 10_000, inFlight: 1, recovery: true },
        { at: 3, cwnd: 20_000, ssthresh: 10_000, inFlight: 1 },
        { at: 4, cwnd: 10_000, ssthresh: 10_000, inFlight: 1, recovery: true },
      ]),
    );
    expect(t.reductions).toEqual([1, 4]);
  });

  test('is a step function: a value holds until the next line', () => {
    const t = readTrace(log(rows));
    expect(sample(t, 'inFlight', 'seconds', 0.2, 1)).toEqual([0, 0, 1448, 1448, 1448, 1448]);
    expect(sample(t, 'inFlight', 'sent', 1, 3)).toEqual([0, 0, 2896, 1448]);
  });
});

describe('the likeness of two traces', () => {
  test('of a trace with itself is whole', () => {
    const t = readTrace(sawtooth(0, 5));
    expect(likeness(t, t)).toMatchObject({ points: 501, difference: 0, reductions: [5, 5] });
    expect(likeness(t, t).correlation).toBeCloseTo(1, 12);
  });

  test('goes over the common part, the shorter one', () => {
    const [a, b] = [readTrace(sawtooth(0, 5)), readTrace(sawtooth(0, 3))];
    expect(likeness(a, b, { step: 0.1 })).toMatchObject({ points: 31, difference: 0, reductions: [3, 3] });
  });

  test('of one twice as high correlates and differs by two thirds of the mean', () => {
    const l = likeness(readTrace(sawtooth(0, 5)), readTrace(sawtooth(0, 5, 2)));
    expect(l.means[1]).toBeCloseTo(2 * l.means[0], 6);
    // |2m - m| / ((m + 2m) / 2)
    expect(l.difference).toBeCloseTo(2 / 3, 12);
    expect(l.correlation).toBeCloseTo(1, 12);
  });

  test('of one in opposite phase does not correlate', () => {
    const l = likeness(readTrace(sawtooth(0, 20)), readTrace(sawtooth(5, 20)));
    expect(l.correlation).toBeLessThan(0.2);
    expect(l.difference).toBeGreaterThan(0.2);
  });

  test('over packets sent is blind to one that runs at another speed', () => {
    const rows = (pace: number): Row[] =>
      Array.from({ length: 50 }, (_, n) => ({
        at: n * pace,
        cwnd: 1460 * (1 + (n % 7)),
        inFlight: n === 0 ? 0 : 1460,
      }));
    const [a, b] = [readTrace(log(rows(0.1))), readTrace(log(rows(0.13)))];
    expect(likeness(a, b, { axis: 'sent' }).difference).toBe(0);
    expect(likeness(a, b).difference).toBeGreaterThan(0.1);
  });
});
