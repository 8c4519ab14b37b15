import { IDEAL_PIPE, type PipeConfig } from '../../impair/config.ts';
import { inetAton } from '../../stack/net/in-addr.ts';
import type { Tunables } from '../../stack/sysctl.ts';
import type { SimFrame } from './frame.ts';
import { MtuGate } from './mtu-gate.ts';
import { SimNetwork } from './network.ts';
import type { SimNode } from './node.ts';
import type { Wire } from './wire.ts';

/**
 * The topology of most experiments; with one sender it is a pair.
 *
 *   sender 1 ──access 1──┐                                  ┌── receiver 1
 *   sender 2 ──access 2──┤ switch ══ bottleneck ══ switch ──┤
 *      …                 │   data ──►      ◄── ack          │      …
 *   sender n ──access n──┘                                  └── receiver n, or one for all
 *
 * An access link has a delay and no rate, so queues form at the bottleneck only.
 */
export interface DumbbellOptions {
  /** Whole number, 0 to 2^53. */
  readonly seed: number;
  readonly mtu: number;
  /** The bottleneck, towards the receivers and back. */
  readonly data: PipeConfig;
  readonly ack: PipeConfig;
  /** One-way delay of each sender's access link, µs; as many senders as entries, 1 to MAX_SENDERS. */
  readonly accessUs: readonly number[];
  /** One receiver a sender, instead of one for all. */
  readonly separateReceivers: boolean;
  /** Largest packet on the link behind the bottleneck towards the receivers, and whether the router in front of it says so; absent: `mtu`. */
  readonly path?: { readonly mtu: number; readonly icmp: boolean };
  /** Fields of Tunables, in every stack. */
  readonly tune: Partial<Tunables>;
  /** Frames that a receiver has for what waits for a gap to close, besides those of any host; default 2048. */
  readonly receiverFrames?: number;
}

/** Addresses of 192.0.2.0/24 that are left for senders when each has a receiver of its own. */
export const MAX_SENDERS = 100;

const NET = inetAton('192.0.2.0');
const FIRST_RECEIVER = 1;
const FIRST_SENDER = 101;
/** Frames of any host. */
const FRAMES = 2048;

export class Dumbbell {
  readonly net: SimNetwork;
  readonly senders: readonly SimNode[];
  /** `receivers[i]` is that of sender i. */
  readonly receivers: readonly SimNode[];
  /** The bottleneck. */
  readonly data: Wire;
  readonly ack: Wire;
  /** The router behind the bottleneck, where packets may be too large for it. */
  readonly gate: MtuGate | null;

  /** Neighbours know each other from the start. @throws PipeConfigError, RangeError */
  constructor(o: DumbbellOptions) {
    const n = o.accessUs.length;
    if (n < 1 || n > MAX_SENDERS) throw new RangeError(`${n} senders: allowed are 1 to ${MAX_SENDERS}`);
    const net = new SimNetwork(o.seed, o.mtu);
    this.net = net;
    this.data = net.addWire('data', o.data);
    this.ack = net.addWire('ack', o.ack);
    const access = o.accessUs.map((delayUs, i) => {
      if (delayUs === 0) return null;
      const pipe = { ...IDEAL_PIPE, delayUs };
      return { up: net.addWire(`up${i + 1}`, pipe), down: net.addWire(`down${i + 1}`, pipe) };
    });
    const node = (name: string, host: number, frames: number): SimNode =>
      net.addNode({ name, addr: (NET + host) | 0, prefixLen: 24, mtu: o.mtu, tune: o.tune, frames });
    const hosts = o.separateReceivers ? n : 1;
    const receivers = Array.from({ length: hosts }, (_, i) =>
      node(`receiver${i + 1}`, FIRST_RECEIVER + i, FRAMES + (o.receiverFrames ?? FRAMES)),
    );
    this.receivers = Array.from({ length: n }, (_, i) => receivers[i % hosts]!);
    this.senders = Array.from({ length: n }, (_, i) => node(`sender${i + 1}`, FIRST_SENDER + i, FRAMES));

    this.senders.forEach((s, i) => {
      const a = access[i]!;
      if (a === null) {
        s.sink = (f) => this.data.send(f);
      } else {
        s.sink = (f) => a.up.send(f);
        a.up.sink = (f) => this.data.send(f);
        a.down.sink = (f) => s.arrive(f);
      }
      s.learn(this.receivers[i]!);
      this.receivers[i]!.learn(s);
    });
    for (const r of receivers) r.sink = (f) => this.ack.send(f);
    const toReceivers = forward(
      net,
      receivers.map((r) => ({ addr: r.addr, to: (f: SimFrame) => r.arrive(f) })),
    );
    const gate =
      o.path === undefined ? null : new MtuGate(net.frames, o.path.mtu, o.path.icmp, (f) => this.ack.send(f));
    this.gate = gate;
    this.data.sink = gate === null ? toReceivers : (f) => gate.take(f) || toReceivers(f);
    this.ack.sink = forward(
      net,
      this.senders.map((s, i) => {
        const down = access[i]?.down;
        return { addr: s.addr, to: down === undefined ? (f) => s.arrive(f) : (f) => down.send(f) };
      }),
    );
  }
}

interface Port {
  readonly addr: number;
  readonly to: (f: SimFrame) => void;
}

/** A switch: by station address, to every port what goes to a group, to none what nobody knows. */
function forward(net: SimNetwork, ports: readonly Port[]): (f: SimFrame) => void {
  const byAddr = new Map(ports.map((p) => [p.addr, p.to]));
  const only = ports.length === 1 ? ports[0]! : null;
  return (f) => {
    if (only !== null) {
      only.to(f);
    } else if (f.isGroup) {
      for (const p of ports) {
        const copy = net.frames.take();
        copy.copyFrom(f.u8, 0, f.len);
        p.to(copy);
      }
      net.frames.give(f);
    } else {
      const to = byAddr.get(f.dstLo);
      if (to === undefined) net.frames.give(f);
      else to(f);
    }
  };
}
