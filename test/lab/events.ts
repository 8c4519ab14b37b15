/** Runs the event table (test/events): brings a stack into a state, lets the event happen in virtual time and tells what came of it. */
import { ETIMEDOUT, errnoName } from '../../src/stack/errno.ts';
import { listen } from '../../src/stack/socket/listener.ts';
import { connect, type Socket } from '../../src/stack/socket/socket.ts';
import { SocketError } from '../../src/stack/socket/socket-error.ts';
import { TCP_STATE_NAMES } from '../../src/stack/tcp/tcp-fsm.ts';
import type { EventRow, Expect, Given, Opened, State } from '../events/row.ts';
import { type Out, ScriptedPeer, type Seg } from './segments.ts';
import { pattern, Recorder } from './tcpuser.ts';

/** The address families that the stack has; the table itself knows none. */
export const FAMILIES = [4] as const;
export type Family = (typeof FAMILIES)[number];

const SECOND = 1_000_000;
/** Round trip of the handshakes, so that no timer of ours runs out while an event is looked at. */
const RTT = 0.1;
/** A delayed ACK has gone after this time, and nothing else that the table does not ask for. */
const SETTLE = 0.06;
const RCV_WND = 1000;
const SND_WND = 2000;

/** What came of an event, numbers relative to the initial ones. */
export interface Outcome {
  state: State;
  sends: string[];
  delivers: number;
  signals: string[];
  returns: number | string | undefined;
  queued: number | undefined;
}

const BITS: Readonly<Record<string, string>> = { FIN: 'F', SYN: 'S', RST: 'R', PSH: 'P', ACK: 'A', URG: 'U' };
const SIGNALS: Readonly<Record<string, string>> = {
  'closed 0': 'closed',
  'closed ECONNRESET': 'reset',
  'closed ECONNREFUSED': 'refused',
  'closed ETIMEDOUT': 'timeout',
};
const STATES: Readonly<Record<string, State>> = {
  SYN_SENT: 'SYN-SENT',
  SYN_RCVD: 'SYN-RECEIVED',
  ESTABLISHED: 'ESTABLISHED',
  FIN_WAIT_1: 'FIN-WAIT-1',
  FIN_WAIT_2: 'FIN-WAIT-2',
  CLOSE_WAIT: 'CLOSE-WAIT',
  CLOSING: 'CLOSING',
  LAST_ACK: 'LAST-ACK',
  TIME_WAIT: 'TIME-WAIT',
};

class Scene {
  readonly p: ScriptedPeer;
  readonly rec = new Recorder();
  so: Socket | null = null;
  /** The variables of the RFC, as a peer knows them from the segments. */
  readonly v: Record<string, number> = {
    ISS: 0,
    'SND.UNA': 0,
    'SND.NXT': 1,
    'RCV.NXT': 1,
    'RCV.WND': RCV_WND,
    'MAX.SND.WND': SND_WND,
  };
  returns: number | string | undefined;
  silent = false;
  readonly #opened: Opened;
  readonly #sent: Out[] = [];

  constructor(_family: Family, opened: Opened, row: EventRow) {
    this.#opened = opened;
    // Segments of 500 bytes, and a window of two of them that does not grow.
    this.p = new ScriptedPeer({
      tune: { tcp_recvspace: RCV_WND, tcp_recvbuf_auto: 0, ...row.knobs },
    });
  }

  /** Brings the connection into `state`. */
  reach(state: State, given: Given | undefined): void {
    if (state === 'CLOSED') return;
    if (state === 'LISTEN') {
      this.call('listen');
      return;
    }
    if (state === 'SYN-SENT') {
      this.call('open');
      this.p.out();
      return;
    }
    if (this.#opened === 'active') this.call('open');
    else this.call('listen');
    this.p.out();
    if (state === 'SYN-RECEIVED') {
      this.p.send({ flags: 'S', seq: 0, mss: 500, win: SND_WND });
      this.p.out();
      return;
    }
    this.#establish();
    this.#synchronised(state, given);
    this.p.out();
    this.rec.events.length = 0;
    this.rec.received = 0;
  }

  #establish(): void {
    if (this.#opened === 'passive') {
      this.p.send({ flags: 'S', seq: 0, mss: 500, win: SND_WND });
      this.p.out();
    }
    this.p.advance(RTT * SECOND);
    if (this.#opened === 'active') this.#peer({ flags: 'SA', seq: 0, ack: 1, mss: 500 });
    else this.#peer({ flags: 'A', seq: 1, ack: 1 });
    this.v['SND.UNA'] = 1;
  }

  #synchronised(state: State, given: Given | undefined): void {
    const v = this.v;
    const so = this.so!;
    const finFirst = state === 'CLOSE-WAIT' || state === 'LAST-ACK';
    const finSent = state !== 'ESTABLISHED' && state !== 'CLOSE-WAIT';
    if (given === 'unread' || given === 'RCV.WND=0') {
      this.rec.appetite = 0;
      this.#data(given === 'unread' ? 5 : RCV_WND / 2);
      if (given === 'RCV.WND=0') {
        this.#data(RCV_WND / 2);
        v['RCV.WND'] = 0;
      }
    }
    if (given === 'SND.WND=0') {
      // Told by a segment that is newer than the one that told the window before.
      this.#data(1);
      this.#peer({ flags: 'A', seq: v['RCV.NXT']!, ack: 1, win: 0 });
    }
    if (given === 'in flight' || given === 'SND.WND=0') {
      so.send(pattern(10), 0, 10);
      this.p.host.pass();
      if (given === 'in flight') v['SND.NXT'] = v['SND.NXT']! + 10;
    }
    if (finFirst) this.#fin(given);
    if (!finSent) return;
    if (given === 'gone') so.close();
    else so.shutdown();
    this.p.host.pass();
    v['SND.NXT'] = v['SND.NXT']! + 1;
    if (state === 'FIN-WAIT-2' || state === 'TIME-WAIT') {
      v['SND.UNA'] = v['SND.NXT']!;
      this.#peer({ flags: 'A', seq: v['RCV.NXT']!, ack: v['SND.UNA'] });
    }
    if (state === 'CLOSING' || state === 'TIME-WAIT') this.#fin(given);
  }

  #peer(s: Seg): void {
    this.p.send({ win: SND_WND, ...s });
    this.p.advance(SETTLE * SECOND);
    this.p.out();
  }

  #data(len: number): void {
    const v = this.v;
    this.#peer({ flags: 'A', seq: v['RCV.NXT']!, ack: v['SND.UNA']!, data: pattern(len) });
    v['RCV.NXT'] = v['RCV.NXT']! + len;
  }

  #fin(given: Given | undefined): void {
    const v = this.v;
    this.#peer({
      flags: 'FA',
      seq: v['RCV.NXT']!,
      ack: v['SND.UNA']!,
      win: given === 'SND.WND=0' ? 0 : SND_WND,
    });
    v['RCV.NXT'] = v['RCV.NXT']! + 1;
  }

  /** One event of a row. */
  happen(event: string): void {
    if (event.startsWith('<')) this.#segment(event);
    else if (event.startsWith('wait ')) {
      this.#wait(Number(event.split(' ')[1]));
      if (event.endsWith(' silently')) this.silent = true;
    } else this.call(event);
    this.#sent.push(...this.p.out());
  }

  #wait(seconds: number): void {
    for (let left = seconds; left > 0; left -= 1000) {
      // The neighbour stays known however long nothing is sent.
      this.p.host.st.arp.learn(this.p.host.ifp, 0xc0000202 | 0, 0x0200, 2);
      this.p.advance(Math.min(left, 1000) * SECOND);
    }
  }

  #segment(text: string): void {
    const f = fields(text);
    const v = this.v;
    const seq = this.value(f.SEQ!);
    const ack = f.ACK === undefined ? 0 : this.value(f.ACK);
    const len = f.LEN === undefined ? 0 : this.value(f.LEN);
    const bits = f.CTL === '' ? [] : f.CTL!.split(',').map((c) => BITS[c]!);
    const seg: Seg = {
      flags: bits.join(''),
      seq,
      ack,
      win: f.WND === undefined ? SND_WND : this.value(f.WND),
      data: pattern(len),
      ...(bits.includes('S') ? { mss: 500 } : {}),
    };
    if (f.UP !== undefined) seg.up = this.value(f.UP);
    v['SEG.SEQ'] = seq;
    v['SEG.ACK'] = ack;
    v['SEG.LEN'] = len;
    this.p.send(seg);
  }

  call(text: string): void {
    const [name, arg] = text.split(' ') as [string, string?];
    const { st } = this.p.host;
    const so = this.so;
    this.returns = undefined;
    try {
      if (name === 'open') {
        const made = connect(st, { faddr: 0xc0000202 | 0, fport: this.p.sport, lport: this.p.dport }, this.rec);
        this.so = made;
        this.rec.so = made;
      } else if (name === 'listen') {
        this.p.listener = listen(st, { port: this.p.dport }, (made) => {
          this.so = made;
          return this.rec;
        });
      } else if (name === 'send' || name === 'urgent') {
        const n = so!.send(pattern(Number(arg)), 0, Number(arg), name === 'urgent');
        this.returns = n < 0 ? errnoName(-n) : n;
      } else if (name === 'receive') {
        this.rec.appetite = Number.POSITIVE_INFINITY;
        so!.resume();
      } else if (name === 'close' && so === null) this.p.listener!.close();
      else if (name === 'shutdown' || name === 'close' || name === 'abort') so![name]();
      else throw new Error(`no event ${text}`);
    } catch (err) {
      if (!(err instanceof SocketError)) throw err;
      this.returns = err.code;
    }
    this.p.host.pass();
  }

  /** `RCV.NXT+5`, `SND.UNA-MAX.SND.WND-1`: a number relative to the initial one. */
  value(expr: string): number {
    return expr.split(/(?=[+-])/).reduce((sum, term) => {
      const sign = term.startsWith('-') ? -1 : 1;
      const name = term.replace(/^[+-]/, '');
      const n = /^\d+$/.test(name) ? Number(name) : this.v[name];
      if (n === undefined) throw new Error(`${expr}: ${name} is not known`);
      return sum + sign * n;
    }, 0);
  }

  /** An expected segment with numbers for names, only its fields that `render` shows. */
  expected(text: string): string {
    const f = fields(text);
    const out = [`<SEQ=${this.value(f.SEQ!)}>`];
    if (f.ACK !== undefined) out.push(`<ACK=${this.value(f.ACK)}>`);
    out.push(`<CTL=${[...f.CTL!.split(',')].sort().join(',')}>`);
    if (f.LEN !== undefined) out.push(`<LEN=${this.value(f.LEN)}>`);
    if (f.UP !== undefined) out.push(`<UP=${this.value(f.UP)}>`);
    if (f.WND !== undefined) out.push(`<WND=${this.value(f.WND)}>`);
    return out.join('');
  }

  /** What went out, in the form of `expected`. */
  render(expected: readonly string[]): string[] {
    return this.#sent.map((o, i) => {
      const names = Object.entries(BITS).filter(([name, bit]) => name !== 'PSH' && o.flags.includes(bit));
      const out = [`<SEQ=${o.seq}>`];
      if (o.flags.includes('A')) out.push(`<ACK=${o.ack}>`);
      out.push(
        `<CTL=${names
          .map(([name]) => name)
          .sort()
          .join(',')}>`,
      );
      if (o.len > 0) out.push(`<LEN=${o.len}>`);
      if (o.flags.includes('U')) out.push(`<UP=${o.up}>`);
      if (expected[i]?.includes('<WND=')) out.push(`<WND=${o.win}>`);
      return out.join('');
    });
  }

  /** The answer to a STATUS call. */
  state(from: State): State {
    const tp = this.so?.tp;
    if (tp) return STATES[TCP_STATE_NAMES[tp.t_state]!]!;
    const { tcp } = this.p.host.st;
    if (tcp.syncache.count > 0) return 'SYN-RECEIVED';
    // The listener of a passive open stays, whatever becomes of its connections.
    const listened = from === 'LISTEN' || from === 'CLOSED' || from === 'SYN-RECEIVED';
    return listened && tcp.listeners.has(0, this.p.dport) ? 'LISTEN' : 'CLOSED';
  }

  signals(): string[] {
    const faults = this.rec.softErrors.map((errno) => (errno === ETIMEDOUT ? 'R1' : errnoName(errno)));
    const told = this.rec.events.map((e) => {
      const [what, errno] = e.split(' ');
      const text =
        what === 'urgent' || errno === undefined || errno === '0' ? e : `${what} ${errnoName(Number(errno))}`;
      return SIGNALS[text] ?? text;
    });
    return [...faults, ...told];
  }
}

/** `<SEQ=1><CTL=ACK>` as { SEQ: '1', CTL: 'ACK' }. */
function fields(text: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(/<(\w+)=([^>]*)>/g)) out[name!] = value!;
  return out;
}

export interface EventCase {
  name: string;
  run: (family: Family) => { got: Outcome; want: Outcome };
}

/** The cases of rows: one for each state, and for each way to it where that is not given. */
export function eventCases(rows: readonly EventRow[]): EventCase[] {
  const cases: EventCase[] = [];
  for (const row of rows) {
    for (const state of row.states) {
      const before = state === 'CLOSED' || state === 'LISTEN';
      const ways: Opened[] = row.opened
        ? [row.opened]
        : before
          ? ['passive']
          : state === 'SYN-SENT'
            ? ['active']
            : ['active', 'passive'];
      for (const opened of ways) cases.push(eventCase(row, state, opened, before || ways.length === 1));
    }
  }
  return cases;
}

function eventCase(row: EventRow, state: State, opened: Opened, single: boolean): EventCase {
  const events = typeof row.event === 'string' ? [row.event] : row.event;
  const how = [
    single ? '' : `, opened ${opened === 'active' ? 'actively' : 'passively'}`,
    row.given ? `, ${row.given}` : '',
  ];
  return {
    name: `${row.clause}; ${state}${how.join('')}: ${events.join(', then ')}`,
    run(family) {
      const scene = new Scene(family, opened, row);
      scene.reach(state, row.given);
      const reached = scene.state(state);
      if (reached !== state) throw new Error(`not in ${state} but in ${reached}`);
      for (const e of events) scene.happen(e);
      // A delayed ACK is part of the answer.
      if (!events.at(-1)!.startsWith('wait ')) scene.happen(`wait ${SETTLE}`);
      const expect: Expect = row.but?.[state] ?? row.expect;
      const sends = expect.sends ?? [];
      const want: Outcome = {
        state: expect.state ?? state,
        sends: sends.map((s) => scene.expected(s)),
        delivers: expect.delivers ?? 0,
        signals: [...(expect.signals ?? [])],
        returns: expect.returns,
        queued: expect.queued,
      };
      const got: Outcome = {
        state: scene.state(state),
        sends: scene.silent ? [] : scene.render(sends),
        delivers: scene.rec.received,
        signals: scene.signals(),
        returns: expect.returns === undefined ? undefined : scene.returns,
        queued: expect.queued === undefined ? undefined : scene.so!.sendQueued,
      };
      return { got, want };
    },
  };
}
