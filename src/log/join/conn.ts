/** The captured side of a join: segments by connection and direction, and what of them has no line by SIFTR's rules. */
import { TH_ACK, TH_RST, TH_SYN } from '../../stack/wire/tcp.ts';
import type { Segment } from './segment.ts';

/** What a segment is for its connection. */
export type Role =
  /** SYN, with or without ACK. */
  | 'syn'
  | 'syn-ack'
  /** The ACK of the handshake: the first segment of who opened, after its SYN. */
  | 'third'
  /** Of who accepts, before that ACK (Fast Open). */
  | 'early'
  | 'reset'
  | 'plain';

/** A segment that waits for the lines around its time. */
export interface Waiting {
  readonly segment: Segment;
  readonly role: Role;
  /** Sequence and acknowledgment number counted from the initial ones, or from the first that were seen. */
  readonly relSeq: number;
  readonly relAck: number;
}

/** Who takes the segments of one direction: the side of a host whose lines are in the log. */
export interface Taker {
  take(waiting: Waiting): void;
}

/** One direction of a captured connection. */
export class Side {
  /** Hosts of the log that sent or received these: one, or both ends of the connection. */
  readonly takers: Taker[] = [];
  /** Segments that came before the log had a line of the connection. */
  waiting: Waiting[] = [];
  /** Initial sequence number, from the SYN; -1 without one. */
  iss = -1;
  /** What relative numbers are counted from. */
  origin = -1;
  /** The other direction. */
  reverse: Side | null = null;
}

/** A connection of the capture. */
class Conn {
  readonly forward = new Side();
  readonly backward = new Side();
  /** The side that opened; null while no SYN was seen. */
  opener: Side | null = null;
  /** The handshake's ACK is still to come. */
  opening = false;
  lastUs = 0;
}

/** All connections of a capture. Those that are idle are forgotten. */
export class Conns {
  readonly #sides = new Map<string, { conn: Conn; side: Side }>();
  readonly #idleUs: number;

  /** @param idleUs µs without a segment after which a connection may be forgotten */
  constructor(idleUs: number) {
    this.#idleUs = idleUs;
  }

  /** The direction of segments from one address and port to another. */
  side(saddr: string, sport: number, daddr: string, dport: number): Side {
    return this.#of(saddr, sport, daddr, dport).side;
  }

  /** Takes the next segment of the capture. */
  add(segment: Segment): void {
    const { conn, side } = this.#of(segment.saddr, segment.sport, segment.daddr, segment.dport);
    conn.lastUs = segment.timeUs;
    const role = roleOf(conn, side, segment);
    if (side.origin < 0) side.origin = segment.seq;
    const reverse = side.reverse!;
    const acks = (segment.flags & TH_ACK) !== 0;
    // Without its SYN a direction is counted from what the other one acknowledges first.
    if (reverse.origin < 0 && acks) reverse.origin = segment.ack;
    const waiting: Waiting = {
      segment,
      role,
      relSeq: (segment.seq - side.origin) >>> 0,
      relAck: acks ? (segment.ack - reverse.origin) >>> 0 : 0,
    };
    if (side.takers.length === 0) side.waiting.push(waiting);
    else for (const taker of side.takers) taker.take(waiting);
  }

  /** Hands a direction to the log's side of it, with what waits there. */
  attach(side: Side, taker: Taker): void {
    side.takers.push(taker);
    for (const waiting of side.waiting) taker.take(waiting);
    side.waiting = [];
  }

  /** Forgets segments before `untilUs` that nobody takes; each goes to `lost`. Idle connections are forgotten with them. */
  expire(untilUs: number, lost: (waiting: Waiting) => void): void {
    for (const [key, { conn, side }] of this.#sides) {
      if (side.waiting.length > 0) {
        let n = 0;
        while (n < side.waiting.length && side.waiting[n]!.segment.timeUs < untilUs) lost(side.waiting[n++]!);
        side.waiting.splice(0, n);
      }
      const free = (s: Side): boolean => s.takers.length === 0 && s.waiting.length === 0;
      if (conn.lastUs < untilUs - this.#idleUs && free(conn.forward) && free(conn.backward)) this.#sides.delete(key);
    }
  }

  #of(saddr: string, sport: number, daddr: string, dport: number): { conn: Conn; side: Side } {
    const key = `${saddr} ${sport} ${daddr} ${dport}`;
    const known = this.#sides.get(key);
    if (known !== undefined) return known;
    const conn = new Conn();
    conn.forward.reverse = conn.backward;
    conn.backward.reverse = conn.forward;
    const there = { conn, side: conn.forward };
    this.#sides.set(key, there);
    this.#sides.set(`${daddr} ${dport} ${saddr} ${sport}`, { conn, side: conn.backward });
    return there;
  }
}

function roleOf(conn: Conn, side: Side, { flags, seq }: Segment): Role {
  if ((flags & TH_RST) !== 0) return 'reset';
  if ((flags & TH_SYN) !== 0) {
    const acks = (flags & TH_ACK) !== 0;
    if (side.iss !== seq) {
      side.iss = seq;
      side.origin = seq;
      conn.opening = true;
      // A new connection between old ports: the other end's numbers are to come.
      if (!acks) side.reverse!.iss = side.reverse!.origin = -1;
    }
    conn.opener = acks ? side.reverse : side;
    return acks ? 'syn-ack' : 'syn';
  }
  if (!conn.opening) return 'plain';
  if (side !== conn.opener) return 'early';
  conn.opening = false;
  return 'third';
}
