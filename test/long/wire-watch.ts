/**
 * What may be seen of TCP on a wire, judged from outside: every segment that a host sends has to agree with what it and its peer sent before.
 * Knows nothing of the stack.
 */
import type { SimFrame } from '../../src/driver/sim/frame.ts';

const ETHER = 14;
const ETHERTYPE_IP = 0x0800;
const PROTO_TCP = 6;
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

/** What one end of a connection has said so far. Numbers are relative to its own SYN, or, where they are the peer's, to the peer's. */
interface Said {
  iss: number;
  known: boolean;
  /** Window scaling that it offered in its SYN, -1 for none; it holds where both did (RFC 7323 section 2.2). */
  scale: number;
  synWindow: number;
  /** One behind the highest number that it sent, and the number of its FIN. */
  max: number;
  fin: number;
  /** Highest acknowledgment, and right edge of its window. */
  ack: number;
  edge: number;
}

const silent = (): Said => ({
  iss: 0,
  known: false,
  scale: -1,
  synWindow: 0,
  max: 0,
  fin: -1,
  ack: 0,
  edge: 0,
});

interface Options {
  scale: number;
  /** Blocks, left and right edge in turn. */
  sack: number[];
}

function optionsOf(v: DataView, from: number, to: number): Options {
  const o: Options = { scale: -1, sack: [] };
  for (let p = from; p < to; ) {
    const kind = v.getUint8(p);
    if (kind === 0) break;
    if (kind === 1) {
      p++;
      continue;
    }
    const len = v.getUint8(p + 1);
    if (len < 2 || p + len > to) throw new Error(`option ${kind} of ${len} bytes`);
    if (kind === 3) o.scale = v.getUint8(p + 2);
    if (kind === 5) for (let b = p + 2; b < p + len; b += 4) o.sack.push(v.getInt32(b));
    p += len;
  }
  return o;
}

/** Watches both ways of one path. `bytesOf(side, at)` gives the byte that side 0 or 1 sends at place `at` of its stream. */
export class WireWatch {
  readonly #said = new Map<string, [Said, Said]>();
  readonly #reset = new Set<string>();
  readonly #bytesOf: (side: 0 | 1, at: number) => number;
  readonly #cookies: boolean;

  /**
   * @param cookies side 1 answers each SYN with a cookie, which changes with time: a connection that has two is not followed
   */
  constructor(bytesOf: (side: 0 | 1, at: number) => number, cookies: boolean) {
    this.#bytesOf = bytesOf;
    this.#cookies = cookies;
  }

  /** A frame leaves the host of `side`. @throws where it contradicts what was said before */
  sent(side: 0 | 1, f: SimFrame): void {
    const v = new DataView(f.u8.buffer, f.u8.byteOffset, f.len);
    if (v.getUint16(12) !== ETHERTYPE_IP || v.getUint8(ETHER + 9) !== PROTO_TCP) return;
    const tcp = ETHER + (v.getUint8(ETHER) & 15) * 4;
    const end = ETHER + v.getUint16(ETHER + 2);
    const ports = [v.getUint16(tcp), v.getUint16(tcp + 2)] as const;
    const key = side === 0 ? ports.join() : `${ports[1]},${ports[0]}`;
    const flags = v.getUint8(tcp + 13);
    // What follows a RST may belong to another connection: an old SYN that comes late opens one.
    if (flags & RST) this.#reset.add(key);
    if (this.#reset.has(key)) return;
    let pair = this.#said.get(key);
    if (pair === undefined) {
      pair = [silent(), silent()];
      this.#said.set(key, pair);
    }
    const data = tcp + (v.getUint8(tcp + 12) >> 4) * 4;
    // An old SYN that comes after the end opens another connection.
    const over = pair[0].fin >= 0 && pair[1].fin >= 0;
    if ((this.#cookies || over) && flags & SYN && pair[side].known && v.getInt32(tcp + 4) !== pair[side].iss) {
      this.#reset.add(key);
      return;
    }
    try {
      this.#segment(side, pair[side], pair[1 - side]!, v, tcp, data, end, flags);
    } catch (err) {
      throw new Error(`on the wire, side ${side}, ports ${key}: ${(err as Error).message}`);
    }
  }

  #segment(
    side: 0 | 1,
    me: Said,
    peer: Said,
    v: DataView,
    tcp: number,
    data: number,
    end: number,
    flags: number,
  ): void {
    const o = optionsOf(v, tcp + 20, data);
    const isSyn = (flags & SYN) !== 0;
    if (isSyn) {
      const iss = v.getInt32(tcp + 4);
      if (me.known && iss !== me.iss) throw new Error('a second SYN with another number');
      me.known = true;
      me.iss = iss;
      me.scale = o.scale;
      me.synWindow = v.getUint16(tcp + 14);
      if (me.max < 1) me.max = 1;
      if (end > data) throw new Error('data on a SYN');
    }
    if (!me.known) throw new Error('a segment before any SYN');
    const seq = (v.getInt32(tcp + 4) - me.iss) | 0;
    const len = end - data;
    if (len > 0) this.#payload(side, me, peer, v, data, seq, len);
    const next = seq + len + (isSyn ? 1 : 0);
    if (flags & FIN) {
      if (me.fin >= 0 && me.fin !== next) throw new Error(`FIN at ${next}, before at ${me.fin}`);
      me.fin = next;
      me.max = Math.max(me.max, next + 1);
    }
    if (next > me.max) me.max = next;
    if (me.fin >= 0 && me.max > me.fin + 1) throw new Error(`${me.max} is behind the FIN at ${me.fin}`);
    if (len === 0 && !isSyn && (flags & FIN) === 0 && seq > me.max)
      throw new Error(`bare ACK at ${seq}, ${me.max} sent`);
    if (flags & ACK) this.#acknowledges(me, peer, v, tcp, o, isSyn);
  }

  #payload(side: 0 | 1, me: Said, peer: Said, v: DataView, data: number, seq: number, len: number): void {
    if (seq < 1) throw new Error(`data at ${seq}`);
    for (let i = 0; i < len; i++) {
      if (v.getUint8(data + i) !== this.#bytesOf(side, seq - 1 + i)) throw new Error(`wrong byte at ${seq + i}`);
    }
    // A probe of a closed window goes one byte beyond it (RFC 9293 section 3.8.6.1).
    const edge = Math.max(peer.edge, 1 + peer.synWindow);
    if (seq + len > edge + 1 && seq + len > me.max) {
      throw new Error(`data up to ${seq + len}, the peer's window ends at ${edge}`);
    }
  }

  #acknowledges(me: Said, peer: Said, v: DataView, tcp: number, o: Options, isSyn: boolean): void {
    const ack = (v.getInt32(tcp + 8) - peer.iss) | 0;
    if (!peer.known) throw new Error('an ACK of a peer that has not spoken');
    if (ack > peer.max) throw new Error(`ACK ${ack}, but only ${peer.max} was sent`);
    if (ack < me.ack) throw new Error(`ACK ${ack} after ${me.ack}`);
    me.ack = ack;
    const scaled = !isSyn && me.scale >= 0 && peer.scale >= 0;
    const unit = scaled ? 2 ** me.scale : 1;
    const edge = ack + v.getUint16(tcp + 14) * unit;
    // What does not fit the unit is left out of the window, so that its edge may seem to go back by less than one.
    if (edge + unit <= me.edge) throw new Error(`window taken back from ${me.edge} to ${edge}`);
    if (edge > me.edge) me.edge = edge;
    for (let i = 0; i < o.sack.length; i += 2) {
      const from = (o.sack[i]! - peer.iss) | 0;
      const to = (o.sack[i + 1]! - peer.iss) | 0;
      // The first block may be a DSACK (RFC 2883 section 4), of what came twice.
      if (to <= from || to > peer.max) throw new Error(`SACK ${from}..${to}, ${peer.max} sent`);
      if (i > 0 && from <= ack) throw new Error(`SACK ${from}..${to} below the ACK ${ack}`);
    }
  }
}
