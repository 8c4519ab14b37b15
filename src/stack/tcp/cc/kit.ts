/**
 * The conformance kit: runs a module through scripts and through seeded random lives of connections, and says what is wrong with it.
 * docs/write-a-congestion-control.md explains each check.
 */
import { CC_ECN, CC_NDUPACK, CC_RTO, CC_RTO_ERR, type CcModule, type CcSignal } from './cc.ts';
import { FakeConn } from './fake.ts';
import { Play, PlayFault, type PlayOptions } from './play.ts';
import { ccFault } from './registry.ts';

export interface CheckOptions {
  /** Seeds of the random lives. Default 1 to 12. */
  readonly seeds?: readonly number[];
  /** Events of each. Default 400. */
  readonly steps?: number;
}

export interface Finding {
  /** Name of the check: shape, throws, nan, absurd, fields, no-reduction, no-ecn-reaction, grows-unlimited, no-growth, no-undo or not-deterministic. */
  readonly check: string;
  /** A warning is no failure. */
  readonly level: 'error' | 'warning';
  /** One line: what, and where it was seen. */
  readonly text: string;
}

export interface CheckReport {
  readonly module: string;
  /** No error was found. */
  readonly ok: boolean;
  /** The first of each check and kind. */
  readonly findings: readonly Finding[];
}

const USUAL: PlayOptions = { maxseg: 1448, rtt: 50_000, initcwnd: 10, seed: 1 };

/** Segment sizes, round-trip times in µs and initial windows that the lives are lived with. */
const MAXSEGS = [88, 536, 1448, 8948];
const RTTS = [10, 300, 5_000, 50_000, 600_000, 10_000_000];
const INITCWNDS = [1, 2, 10, 1000, 100_000];

/** Rounds after which a window that may grow must have grown. */
const GROW_ROUNDS = 200;
/** A window after an undone reduction may differ from one that never was reduced by this share and two segments. */
const UNDO_SHARE = 0.1;

class Report {
  readonly findings: Finding[] = [];
  readonly #seen = new Set<string>();

  add(check: string, text: string, where: string, level: 'error' | 'warning' = 'error'): void {
    // The same words with other numbers are the same fault.
    const key = `${check} ${text.replace(/[\d.e+-]+/g, '#')}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.findings.push({ check, level, text: `${text} (${where})` });
  }

  /** Runs a script; a fault of the module in it ends it and is reported. */
  script(where: string, fn: () => void): void {
    try {
      fn();
    } catch (err) {
      if (!(err instanceof PlayFault)) throw err;
      this.add(err.check, err.message, where);
    }
  }
}

/**
 * Checks a module. Takes a second or so.
 * @param module what a file exports as default
 */
export function checkModule(module: CcModule, options: CheckOptions = {}): CheckReport {
  const r = new Report();
  const fault = ccFault(module);
  const name = typeof module?.name === 'string' ? module.name : '?';
  if (fault !== '') {
    r.add('shape', fault, 'the module as it is exported');
    return { module: name, ok: false, findings: r.findings };
  }
  checkReductions(module, r);
  checkGrowth(module, r);
  checkUndo(module, r);
  checkLives(module, r, options.seeds ?? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], options.steps ?? 400);
  return { module: name, ok: r.findings.every((f) => f.level !== 'error'), findings: r.findings };
}

/** A connection after some round trips of slow start, or of congestion avoidance after a loss. */
function grown(module: CcModule, avoidance: boolean): Play {
  const p = new Play(module, USUAL);
  for (let i = 0; i < 4; i++) p.round();
  if (avoidance) {
    p.signal(CC_NDUPACK);
    p.recovered();
    for (let i = 0; i < 4; i++) p.round();
  }
  return p;
}

/** RFC 5681 section 3.1 and 3.2, RFC 3168 section 6.1.2: each signal of congestion makes the sender slower. */
function checkReductions(module: CcModule, r: Report): void {
  for (const avoidance of [false, true]) {
    const when = avoidance ? 'in congestion avoidance' : 'in slow start';
    for (const [type, name] of [
      [CC_NDUPACK, 'CC_NDUPACK'],
      [CC_RTO, 'CC_RTO'],
    ] as const) {
      r.script(`${name} ${when}`, () => {
        const p = grown(module, avoidance);
        const { snd_cwnd: cwnd, maxseg } = p.c;
        p.signal(type);
        // A module that has the window itself may hold to other numbers after a loss, not after a timeout.
        if (p.own && type === CC_NDUPACK) return;
        const now = p.own ? p.c.snd_cwnd : p.c.snd_ssthresh;
        if (cwnd > 2 * maxseg && now >= cwnd) {
          const what = p.own ? 'snd_cwnd' : 'snd_ssthresh';
          r.add('no-reduction', `${what} is ${now} after ${name} with a window of ${cwnd}`, when);
        }
      });
    }
    r.script(`marks ${when}`, () => checkMarks(module, r, avoidance, when));
  }
}

function checkMarks(module: CcModule, r: Report, avoidance: boolean, when: string): void {
  const p = grown(module, avoidance);
  const plain = grown(module, avoidance);
  const exact = p.cc.wantsExactEcn === true;
  if (!exact) p.signal(CC_ECN);
  for (let i = 0; i < 4; i++) {
    p.round({ ece: exact });
    plain.round();
  }
  const rate = (q: Play) => q.cc.pacingRate?.(q.c) ?? 0;
  if (p.c.snd_cwnd >= plain.c.snd_cwnd && rate(p) >= rate(plain)) {
    const how = exact ? 'four rounds of marks' : 'CC_ECN';
    const text = `${how} make the sender no slower: its window is ${p.c.snd_cwnd}`;
    // By its own measure a mark may count for less; then it is better not asked for ECN.
    r.add('no-ecn-reaction', text, when, p.own ? 'warning' : 'error');
  }
}

/** RFC 7661 section 4.3: a window grows only where it was the limit; there it has to, or a path is never filled. */
function checkGrowth(module: CcModule, r: Report): void {
  for (const avoidance of [false, true]) {
    const when = avoidance ? 'in congestion avoidance' : 'in slow start';
    r.script(`growth ${when}`, () => {
      const p = grown(module, avoidance);
      const before = p.c.snd_cwnd;
      for (let i = 0; i < GROW_ROUNDS && p.c.snd_cwnd <= before; i++) p.round();
      if (p.c.snd_cwnd <= before) {
        r.add('no-growth', `the window stays ${before} in ${GROW_ROUNDS} round trips that it limits`, when);
      }
    });
    r.script(`no growth ${when}`, () => {
      const p = grown(module, avoidance);
      // What bounds the flight of a module that has the window itself is its own affair.
      if (p.own) return;
      const before = p.c.snd_cwnd;
      for (let i = 0; i < 10; i++) p.round({ limited: false });
      if (p.c.snd_cwnd > before) {
        r.add('grows-unlimited', `the window grows from ${before} to ${p.c.snd_cwnd} although it limits nothing`, when);
      }
    });
  }
}

/** RFC 4015, RFC 9438 section 4.9: after a mistake the sender is where it would be without it. */
function checkUndo(module: CcModule, r: Report): void {
  for (const type of [CC_NDUPACK, CC_RTO] as const) {
    const where = type === CC_RTO ? 'CC_RTO, then CC_RTO_ERR' : 'CC_NDUPACK, then CC_RTO_ERR';
    r.script(where, () => {
      const p = grown(module, true);
      const plain = grown(module, true);
      const { pipe, lost } = p.c;
      p.signal(type);
      p.c.pipe = pipe;
      p.c.lost = lost;
      p.signal(CC_RTO_ERR);
      for (let i = 0; i < 20; i++) {
        p.round();
        plain.round();
      }
      const off = Math.abs(p.c.snd_cwnd - plain.c.snd_cwnd);
      if (off > UNDO_SHARE * plain.c.snd_cwnd + 2 * p.c.maxseg) {
        r.add(
          'no-undo',
          `twenty rounds after an undone reduction the window is ${p.c.snd_cwnd}, without it ${plain.c.snd_cwnd}`,
          where,
          'warning',
        );
      }
    });
  }
}

/** Random lives; each is lived twice, and must come out alike. */
function checkLives(module: CcModule, r: Report, seeds: readonly number[], steps: number): void {
  for (const seed of seeds) {
    const where = `seed ${seed}: checkModule(module, { seeds: [${seed}] })`;
    r.script(where, () => {
      const first = live(module, seed, steps);
      const second = live(module, seed, steps);
      if (first !== second) {
        r.add(
          'not-deterministic',
          'two runs alike differ: it draws randomness or time elsewhere than from its connection, or connections share state',
          where,
        );
      }
    });
  }
}

function live(module: CcModule, seed: number, steps: number): number {
  const dice = new FakeConn(1, seed * 0x9e3779b1);
  const roll = (n: number) => (dice.random32() >>> 0) % n;
  const rtt = RTTS[roll(RTTS.length)]!;
  const p = new Play(module, {
    maxseg: MAXSEGS[roll(MAXSEGS.length)]!,
    rtt,
    initcwnd: INITCWNDS[roll(INITCWNDS.length)]!,
    seed,
  });
  for (let i = 0; i < steps; i++) event(p, rtt, roll);
  return p.trace;
}

function event(p: Play, rtt: number, roll: (n: number) => number): void {
  const sample = () => (roll(4) === 0 ? -1 : roll(8) === 0 ? rtt * (1 + roll(20)) : rtt + roll(rtt));
  switch (roll(16)) {
    case 0:
      lose(p, CC_NDUPACK, roll);
      break;
    case 1:
      lose(p, CC_RTO, roll);
      break;
    case 2:
      p.signal(CC_ECN);
      break;
    case 3:
      p.idle(roll(2) === 0 ? rtt * 10 : 1 + roll(0x7fff_fffe));
      break;
    case 4:
      p.round({ limited: false });
      break;
    case 5:
      p.round({ ece: true });
      break;
    case 6:
      p.ack({ lost: 1 + roll(3), rtt: sample() });
      break;
    case 7:
      // Nothing new cumulatively, or a great deal at once.
      p.ack({ segs: roll(2) === 0 ? 0 : 1 + roll(5000), rtt: sample(), after: roll(rtt + 1) });
      break;
    case 8:
      // A new segment size, as path MTU discovery finds it.
      p.c.maxseg = MAXSEGS[roll(MAXSEGS.length)]!;
      break;
    default:
      p.round({ rtt: rtt + roll(Math.max(1, rtt >> 2)) }, 8);
  }
}

/** A loss and what comes of it: repair, a second loss, or the finding that it was none. */
function lose(p: Play, type: CcSignal, roll: (n: number) => number): void {
  p.signal(type);
  for (let i = roll(4); i > 0; i--) p.round({ lost: roll(2) }, 4);
  if (roll(4) === 0) p.signal(CC_RTO);
  if (roll(3) === 0) p.signal(CC_RTO_ERR);
  else p.recovered();
}
