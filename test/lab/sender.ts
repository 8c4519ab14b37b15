/**
 * A connection whose stack sends and whose peer is written out ACK by ACK, in whole segments: segment 0 is the first of the stream. The
 * handshake takes one round trip of virtual time, so that the estimators hold a known sample.
 */
import type { Socket } from '../../src/stack/socket/socket.ts';
import type { Tunables } from '../../src/stack/sysctl.ts';
import type { Tcpcb } from '../../src/stack/tcp/tcpcb.ts';
import { checkTcb } from './invariants.ts';
import { type Out, ScriptedPeer, type Seg } from './segments.ts';
import { pattern, type Recorder } from './tcpuser.ts';

export const MS = 1000;

export interface SenderOptions {
  cc?: string;
  tune?: Partial<Tunables>;
  /** Round trip of the handshake, ms; default 100. */
  rtt?: number;
  /** Default true. */
  sack?: boolean;
  /** Timestamps; default false. */
  ts?: boolean;
  ecn?: boolean;
  /** MSS that the peer offers; default 1460. */
  mss?: number;
  /** Window of the peer, in units of 128 bytes; default 65535. */
  win?: number;
  /** The stack has run for so long, s: the initial sequence number moves by 250 000 a second (RFC 6528). */
  uptime?: number;
}

export class Sender {
  readonly p: ScriptedPeer;
  readonly rec: Recorder;
  readonly so: Socket;
  readonly tp: Tcpcb;
  /** Payload of a full segment. */
  readonly mss: number;
  readonly #ts: boolean;
  readonly #win: number;
  /** The peer's own timestamp clock. */
  #tsval = 1000;
  /** TSval of the last segment that we sent. */
  lastTs = 0;

  constructor(o: SenderOptions = {}) {
    const mss = o.mss ?? 1460;
    this.#ts = o.ts === true;
    this.#win = o.win ?? 65535;
    this.p = new ScriptedPeer({ cc: o.cc ?? 'newreno', tune: { tcp_sendspace: 1 << 20, ...(o.tune ?? {}) } });
    if (o.uptime !== undefined) {
      this.p.host.run(o.uptime * 1000 * MS, 1000 * 1000 * MS);
      this.p.host.st.arp.learn(this.p.host.ifp, 0xc0000202 | 0, 0x0200, 2);
      this.p.host.link.sent.length = 0;
    }
    this.p.listen();
    this.p.send({
      flags: o.ecn === true ? 'SEW' : 'S',
      mss,
      wscale: 7,
      sackok: o.sack !== false,
      ...(this.#ts ? { ts: [this.#tsval, 0] as [number, number] } : {}),
    });
    const synack = this.p.one();
    if (synack.ts) this.lastTs = synack.ts[0];
    this.p.advance((o.rtt ?? 100) * MS);
    this.p.out();
    this.#send({ flags: 'A', ack: 1 });
    this.rec = this.p.accepted[0]!;
    this.so = this.rec.so!;
    this.tp = this.so.tp!;
    this.mss = mss - (this.#ts ? 12 : 0);
  }

  /** The user writes `n` whole segments more. */
  write(n: number): this {
    this.rec.sendAll(pattern(n * this.mss));
    this.p.host.pass();
    return this;
  }

  #send(s: Partial<Seg> & { flags: string }): void {
    const ts: [number, number] | undefined = this.#ts ? (s.ts ?? [++this.#tsval, this.lastTs]) : undefined;
    this.p.send({ seq: 1, win: this.#win, ...s, ...(ts ? { ts } : {}) });
    if (this.tp?.t_socket) checkTcb(this.tp);
  }

  /**
   * The peer acknowledges all before segment `n`, with SACK blocks in segments.
   * @param extra ECE as `flags: 'AE'`, a timestamp echo, another window
   */
  ack(n: number, sack: [number, number][] = [], extra: Partial<Seg> = {}): this {
    const blocks = sack.map(([a, b]): [number, number] => [1 + a * this.mss, 1 + b * this.mss]);
    this.#send({ flags: 'A', ack: 1 + n * this.mss, ...(blocks.length > 0 ? { sack: blocks } : {}), ...extra });
    return this;
  }

  /** Virtual time goes on by `ms`. */
  wait(ms: number): this {
    this.p.advance(Math.round(ms * MS));
    if (this.tp.t_socket) checkTcb(this.tp);
    return this;
  }

  /** What was sent since the last call, whole. */
  out(): Out[] {
    const o = this.p.out();
    for (const x of o) if (x.ts) this.lastTs = x.ts[0];
    return o;
  }

  /** Numbers of the data segments sent since the last call. */
  sent(): number[] {
    return this.out()
      .filter((o) => o.len > 0)
      .map((o) => (o.seq - 1) / this.mss);
  }

  /** `bytes` in segments. */
  segs(bytes: number): number {
    return bytes / this.mss;
  }

  count(name: string): number {
    return this.p.host.count(name);
  }
}

/** [from, to) as a list. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
