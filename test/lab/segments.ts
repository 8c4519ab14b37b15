/**
 * A peer that a test writes out segment by segment: whole segments in, whole segments out, numbers relative to both sides'
 * initial ones. Nothing here parses or builds with code of src/.
 */

import { type Listener, listen } from '../../src/stack/socket/listener.ts';
import { connect, type Socket } from '../../src/stack/socket/socket.ts';
import type { Tunables } from '../../src/stack/sysctl.ts';
import { setCcDefault } from '../../src/stack/tcp/cc/registry.ts';
import { tcpInit } from '../../src/stack/tcp/tcp.ts';
import { arpReply, checksum, ether, ip4, ipv4, OUR_MAC, PEER_MAC, u16 } from './frames.ts';
import { TestHost, type TestHostOptions } from './memlink.ts';
import { Recorder } from './tcpuser.ts';

const FLAG = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, W: 128 } as const;

/** A segment as tests write it: flags in the order they like (E is ECE, W is CWR), numbers relative to the sender's (seq) and receiver's (ack) ISN. */
export interface Seg {
  flags: string;
  seq?: number;
  ack?: number;
  win?: number;
  /** Urgent pointer, the field as it stands in the header. */
  up?: number;
  data?: number[] | Uint8Array;
  mss?: number;
  wscale?: number;
  sackok?: boolean;
  /** [TSval, TSecr] */
  ts?: [number, number];
  /** SACK blocks [start, end), numbers of our stack's stream relative to its ISN as in `ack`. */
  sack?: [number, number][];
  /** The ECN field of the IP header: 0 not ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
  ecn?: number;
  /** Options as bytes, behind those that have names here; padded by the test. */
  opts?: number[];
  /** Other addresses than 192.0.2.2 to 192.0.2.1. */
  src?: string;
  dst?: string;
  /** Another port of the peer than its usual one. */
  sport?: number;
}

export interface Out {
  flags: string;
  /** Relative to our ISN; absolute for a RST to an unknown flow. */
  seq: number;
  ack: number;
  win: number;
  /** Urgent pointer. */
  up: number;
  len: number;
  data: Uint8Array;
  optionKinds: number[];
  mss?: number;
  wscale?: number;
  ts?: [number, number];
  sack: [number, number][];
  /** The ECN field of the IP header. */
  ecn: number;
  raw: Uint8Array;
}

export const PEER_ISS = 1000;

export class ScriptedPeer {
  readonly host: TestHost;
  readonly sport: number;
  readonly dport: number;
  /** Our stack's ISN, known after its SYN or SYN,ACK. */
  iss = 0;
  readonly accepted: Recorder[] = [];
  listener: Listener | null = null;

  constructor(
    o: {
      tune?: Partial<Tunables>;
      sport?: number;
      dport?: number;
      mtu?: number;
      cc?: string;
      host?: TestHostOptions;
    } = {},
  ) {
    this.host = new TestHost({ frames: 1024, mtu: o.mtu ?? 1500, maxlen: 1023, ...o.host });
    Object.assign(this.host.st.tune, o.tune ?? {});
    tcpInit(this.host.st);
    if (o.cc !== undefined) setCcDefault(this.host.st, o.cc);
    this.sport = o.sport ?? 40000;
    this.dport = o.dport ?? 80;
    this.host.st.arp.learn(this.host.ifp, 0xc0000202 | 0, 0x0200, 2);
    this.host.pass();
    this.host.link.sent.length = 0;
  }

  listen(): this {
    this.listener = listen(this.host.st, { port: this.dport }, (so) => {
      const r = new Recorder();
      r.so = so;
      this.accepted.push(r);
      return r;
    });
    return this;
  }

  /** Active open of ours towards the peer; returns the recorder and leaves the SYN in the output. */
  connect(): { rec: Recorder; so: Socket } {
    const rec = new Recorder();
    const so = connect(this.host.st, { faddr: 0xc0000202 | 0, fport: this.sport, lport: this.dport }, rec);
    rec.so = so;
    this.host.pass();
    return { rec, so };
  }

  /** Injects a segment and lets the stack work. */
  send(s: Seg): this {
    this.inject(s);
    this.host.pass();
    return this;
  }

  /** Injects without running a pass: several make a batch. */
  inject(s: Seg): void {
    let flags = 0;
    for (const c of s.flags) flags |= FLAG[c as keyof typeof FLAG];
    const opts: number[] = [];
    if (s.mss !== undefined) opts.push(2, 4, ...u16(s.mss));
    if (s.wscale !== undefined) opts.push(1, 3, 3, s.wscale);
    if (s.sackok) opts.push(1, 1, 4, 2);
    if (s.ts) opts.push(1, 1, 8, 10, ...u32(s.ts[0]), ...u32(s.ts[1]));
    if (s.sack) {
      opts.push(1, 1, 5, 2 + 8 * s.sack.length);
      for (const edges of s.sack) for (const n of edges) opts.push(...u32((this.iss + n) >>> 0));
    }
    if (s.opts) opts.push(...s.opts);
    const src = s.src ?? '192.0.2.2';
    const dst = s.dst ?? '192.0.2.1';
    const seq = (PEER_ISS + (s.seq ?? 0)) >>> 0;
    const ack = flags & FLAG.A ? (this.iss + (s.ack ?? 0)) >>> 0 : 0;
    const t = [
      ...u16(s.sport ?? this.sport),
      ...u16(this.dport),
      ...u32(seq),
      ...u32(ack),
      (5 + opts.length / 4) << 4,
      flags,
      ...u16(s.win ?? 65535),
      0,
      0,
      ...u16(s.up ?? 0),
      ...opts,
      ...(s.data ?? []),
    ];
    const pseudo = [...ip4(src), ...ip4(dst), 0, 6, ...u16(t.length)];
    [t[16], t[17]] = u16(checksum([...pseudo, ...t])) as [number, number];
    this.host.link.inject(ether({ dst: OUR_MAC, src: PEER_MAC }, ipv4({ proto: 6, src, dst, tos: s.ecn ?? 0 }, t)));
  }

  /** Virtual time goes on; timers run. */
  advance(us: number): this {
    let left = us;
    while (left > 0) {
      const d = this.host.st.wheel.nextDeadline();
      const step = d < 0 || d > left ? left : Math.max(d, 1);
      this.host.clock.advance(step);
      this.host.pass();
      this.#answerArp();
      left -= step;
    }
    return this;
  }

  /** The peer's interface answers for it, however silent the peer is. */
  #answerArp(): void {
    const { sent } = this.host.link;
    for (let i = sent.length - 1; i >= 0; i--) {
      const { bytes } = sent[i]!;
      if (bytes[12] !== 8 || bytes[13] !== 6) continue;
      sent.splice(i, 1);
      this.host.link.inject(arpReply());
      this.host.pass();
    }
  }

  /** Takes what the stack has sent since the last call. */
  out(): Out[] {
    const frames = this.host.link.sent.splice(0).map((f) => f.bytes);
    return frames.filter((f) => f[12] === 8 && f[13] === 0 && f[23] === 6).map((f) => this.#parse(f));
  }

  /** The one segment that was sent; fails when there was none or more. */
  one(): Out {
    const o = this.out();
    if (o.length !== 1) throw new Error(`expected one segment, got ${o.length}: ${o.map((x) => x.flags).join(' ')}`);
    return o[0]!;
  }

  #parse(frame: Uint8Array): Out {
    const ip = frame.subarray(14);
    const total = (ip[2]! << 8) | ip[3]!;
    const t = ip.subarray(20, total);
    const v = new DataView(t.buffer, t.byteOffset, t.length);
    const off = (t[12]! >> 4) * 4;
    const bits = t[13]!;
    const flags = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'W'].filter((c) => bits & FLAG[c as keyof typeof FLAG]).join('');
    if (bits & FLAG.S) this.iss = v.getUint32(4);
    const out: Out = {
      flags,
      seq: (v.getUint32(4) - this.iss) | 0,
      ack: bits & FLAG.A ? (v.getUint32(8) - PEER_ISS) | 0 : 0,
      win: v.getUint16(14),
      up: v.getUint16(18),
      len: t.length - off,
      data: t.slice(off),
      optionKinds: [],
      sack: [],
      ecn: ip[1]! & 3,
      raw: t,
    };
    for (let p = 20; p < off; ) {
      const kind = t[p]!;
      out.optionKinds.push(kind);
      if (kind === 0) break;
      if (kind === 1) {
        p++;
        continue;
      }
      if (kind === 2) out.mss = v.getUint16(p + 2);
      if (kind === 3) out.wscale = t[p + 2]!;
      if (kind === 8) out.ts = [v.getUint32(p + 2), v.getUint32(p + 6)];
      if (kind === 5) {
        for (let q = p + 2; q < p + t[p + 1]!; q += 8) {
          out.sack.push([(v.getUint32(q) - PEER_ISS) | 0, (v.getUint32(q + 4) - PEER_ISS) | 0]);
        }
      }
      p += t[p + 1]!;
    }
    return out;
  }

  /** Passive open up to ESTABLISHED; both sides' next number is 1. */
  establish(syn: Partial<Seg> = {}): { rec: Recorder; so: Socket } {
    if (this.listener === null) this.listen();
    this.send({ flags: 'S', mss: 1460, ...syn });
    const synack = this.one();
    if (!synack.flags.startsWith('SA')) throw new Error(`SYN,ACK expected, got ${synack.flags}`);
    const { mss: _m, wscale: _w, sackok: _s, flags: _f, ...rest } = syn;
    this.send({
      ...rest,
      flags: 'A',
      seq: 1,
      ack: 1,
      ...(syn.ts && synack.ts ? { ts: [syn.ts[0] + 1, synack.ts[0]] } : {}),
    });
    this.out();
    const rec = this.accepted.at(-1)!;
    return { rec, so: rec.so! };
  }
}

function u32(n: number): number[] {
  return [...u16(n >>> 16), ...u16(n & 0xffff)];
}
