/** Runs one case of network-case.ts, and judges it. */
import type { SimFrame } from '../../src/driver/sim/frame.ts';
import { SimNetwork } from '../../src/driver/sim/network.ts';
import { MAC_HI, type SimNode } from '../../src/driver/sim/node.ts';
import { errnoName } from '../../src/stack/errno.ts';
import { listen } from '../../src/stack/socket/listener.ts';
import { connect, type Socket, type SocketHandler } from '../../src/stack/socket/socket.ts';
import { setCcDefault } from '../../src/stack/tcp/cc/registry.ts';
import { checkStack } from '../lab/invariants.ts';
import type { NetworkCase, Side } from './network-case.ts';
import { WireWatch } from './wire-watch.ts';

const PORT = 5001;
/** 192.0.2.0/24. */
const NET = 0xc0000200 | 0;
const SECOND = 1e6;
/** Time that a case may take, µs: for hours a host that waits would not be told from one that hangs. */
const LIMIT_US = 7200 * SECOND;
const EVENTS_MAX = 3_000_000;

/** What side 0 or 1 sends at place `at`: of a long period, and another at each side. */
const PERIOD = 65521;
const STREAM = [0, 1].map((side) => {
  const u8 = Buffer.alloc(2 * PERIOD);
  for (let i = 0, x = 1 + side; i < PERIOD; i++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    u8[i] = x >>> 16;
    u8[i + PERIOD] = x >>> 16;
  }
  return u8;
}) as [Buffer, Buffer];

/** Fields of Tunables with which a case ends in time: a peer that is gone is noticed within minutes. */
const PATIENCE = {
  tcp_keepidle: 60_000,
  tcp_keepintvl: 10_000,
  tcp_keepcnt: 8,
  tcp_msl: 5000,
  tcp_persmin: 500,
  arp_max_age: 1_000_000,
};

/** One end of one connection, doing what `Side` says. */
class Actor implements SocketHandler {
  sent = 0;
  received = 0;
  connections = 0;
  /** Errno of `closed`, -1 before. */
  errno = -1;
  ended = false;
  wrong = '';
  readonly #net: SimNetwork;
  readonly #node: SimNode;
  readonly #side: Side;
  readonly #mine: Buffer;
  readonly #theirs: Buffer;
  #so: Socket | null = null;
  #bitten = 0;
  #finished = false;
  #waiting = false;

  constructor(net: SimNetwork, node: SimNode, side: Side, which: 0 | 1) {
    this.#net = net;
    this.#node = node;
    this.#side = side;
    this.#mine = STREAM[which];
    this.#theirs = STREAM[1 - which]!;
  }

  connected(so: Socket): void {
    this.connections++;
    this.#so = so;
    so.setNoDelay(this.#side.noDelay);
    const { ending, abortUs } = this.#side;
    if (ending === 'abort') this.#later(abortUs, () => so.abort());
    const { laterCc, laterBuf } = this.#side;
    if (laterCc !== '' || laterBuf > 0) {
      this.#later(500_000, () => {
        if (laterCc !== '') so.setCongestion(laterCc);
        if (laterBuf > 0) so.setBuffers(laterBuf, laterBuf);
      });
    }
    if (ending !== 'late') this.#fill();
  }

  data(so: Socket, u8: Uint8Array, off: number, len: number): number {
    const { bite, restUs } = this.#side;
    const n = bite === 0 ? len : Math.min(len, bite - this.#bitten);
    for (let done = 0; done < n; ) {
      const from = (this.received + done) % PERIOD;
      const part = Math.min(n - done, PERIOD);
      if (this.#theirs.compare(u8, off + done, off + done + part, from, from + part) !== 0) {
        this.wrong ||= `wrong bytes behind ${this.received + done}`;
      }
      done += part;
    }
    this.received += n;
    this.#bitten += n;
    if (bite > 0 && this.#bitten >= bite && n < len && !this.#waiting) {
      this.#waiting = true;
      this.#later(restUs, () => {
        this.#waiting = false;
        this.#bitten = 0;
        so.resume();
      });
    }
    return n;
  }

  writable(): void {
    this.#fill();
  }

  end(so: Socket): void {
    if (this.ended) this.wrong ||= 'two ends';
    this.ended = true;
    if (this.#side.ending === 'late') this.#fill();
    if (this.#finished) so.close();
  }

  closed(_so: Socket, errno: number): void {
    if (this.errno >= 0) this.wrong ||= 'closed twice';
    this.errno = errno;
  }

  /** All that this end had to send was taken by its TCP. */
  get finished(): boolean {
    return this.#finished;
  }

  #fill(): void {
    const so = this.#so;
    if (so === null || this.#finished || this.errno >= 0) return;
    const { bytes, chunk, gapUs, ending } = this.#side;
    while (this.sent < bytes) {
      const from = this.sent % PERIOD;
      const n = so.send(this.#mine, from, Math.min(chunk, bytes - this.sent, PERIOD));
      if (n < 0) return;
      this.sent += n;
      if (n < Math.min(chunk, bytes - this.sent + n, PERIOD)) return;
      if (gapUs > 0 && this.sent < bytes) {
        this.#later(gapUs, () => this.#fill());
        return;
      }
    }
    this.#finished = true;
    if (ending === 'close' || this.ended) so.close();
    else if (ending !== 'abort') so.shutdown();
  }

  #later(us: number, fn: () => void): void {
    this.#net.at(this.#net.clock.now + us, () => {
      fn();
      this.#node.wake();
    });
  }
}

/** Losses so frequent, or queues so full, that a handshake or a retransmission may be given up. */
function harsh(c: NetworkCase): boolean {
  // A SYN,ACK with a cookie is sent once: where the answer to it is lost and the client waits to be spoken to, nobody begins.
  if (c.server.tune.tcp_syncookies_only !== 0) return true;
  // Only full segments that are lost make a host look for a hole (FreeBSD's TF2_PLPMTU_MAXSEGSNT).
  if (c.holeMtu > 0) return true;
  return [c.there, c.back].some(
    (p) => p.loss + p.corrupt >= 0.1 || (p.limitPackets > 0 && p.limitPackets < 10) || p.aqm?.kind === 'red',
  );
}

/** Ends that a user may break off leave the other one with a reset. */
function broken(c: NetworkCase): boolean {
  return [c.client, c.server].some((s) => s.ending === 'close' || s.ending === 'abort');
}

export interface NetworkResult {
  readonly events: number;
  readonly seconds: number;
  /** Connections of which both ends closed without an error. */
  readonly whole: number;
}

/** Runs `c` to its end. @throws with what is wrong */
export function runNetwork(c: NetworkCase): NetworkResult {
  const net = new SimNetwork(c.seed, Math.max(c.mtu, c.mtuServer));
  const there = net.addWire('there', c.there);
  const back = net.addWire('back', c.back);
  const host = (name: string, n: number, mtu: number, s: Side): SimNode => {
    const sizes = { tcp_sendspace: s.sndBuf, tcp_recvspace: s.rcvBuf };
    const auto = { tcp_sendbuf_auto: Number(s.autoBuf), tcp_recvbuf_auto: Number(s.autoBuf) };
    const tune = { ...s.tune, ...sizes, ...auto, ...PATIENCE };
    const node = net.addNode({ name, addr: (NET + n) | 0, prefixLen: 24, mtu, tune, frames: s.frames });
    setCcDefault(node.st, s.cc);
    return node;
  };
  const a = host('a', 1, c.mtu, c.client);
  const b = host('b', 2, c.mtuServer, c.server);
  a.learn(b);
  b.learn(a);
  a.sink = (f) => there.send(f);
  b.sink = (f) => back.send(f);
  // A router in the middle that says nothing of what it cannot pass on.
  const through = (f: SimFrame, from: SimNode, to: SimNode): void => {
    if ((c.holeMtu > 0 && f.packetBytes > c.holeMtu) || damagedArp(f, from)) net.frames.give(f);
    else to.arrive(f);
  };
  there.sink = (f) => through(f, a, b);
  back.sink = (f) => through(f, b, a);
  const cookies = c.server.tune.tcp_syncookies_only !== 0;
  const watch = new WireWatch((side, at) => STREAM[side][at % PERIOD]!, cookies);
  there.tapIn = (f) => watch.sent(0, f);
  back.tapIn = (f) => watch.sent(1, f);
  const timers = [a, b].map((n) => n.st.wheel.size);

  const clients: Actor[] = [];
  const servers: Actor[] = [];
  if (!c.both) {
    const listener = listen(b.st, { port: PORT }, () => {
      if (net.clock.now < c.acceptUs) return null;
      const s = new Actor(net, b, c.server, 1);
      servers.push(s);
      return s;
    });
    net.at(c.acceptUs, () => {
      listener.resume();
      b.wake();
    });
  }
  if (c.outageForUs > 0) {
    for (const [wire, pipe] of [
      [there, c.there],
      [back, c.back],
    ] as const) {
      net.at(c.outageUs, () => wire.reconfigure({ ...pipe, loss: 1 }));
      net.at(c.outageUs + c.outageForUs, () => wire.reconfigure(pipe));
    }
  }
  for (let i = 0; i < c.connections; i++) {
    net.at(i * 1000, () => {
      const client = new Actor(net, a, c.client, 0);
      clients.push(client);
      connect(a.st, { faddr: b.addr, fport: c.both ? PORT + i : PORT, lport: 40_000 + i }, client);
      a.wake();
      if (!c.both) return;
      const server = new Actor(net, b, c.server, 1);
      servers.push(server);
      connect(b.st, { faddr: a.addr, fport: 40_000 + i, lport: PORT + i }, server);
      b.wake();
    });
  }
  const step = (): boolean => {
    checkStack(a.st);
    checkStack(b.st);
    if (net.events > EVENTS_MAX) throw new Error(`${net.events} events, and no end`);
    return (
      clients.length === c.connections &&
      clients.every((e) => e.errno >= 0) &&
      servers.every((e) => e.errno >= 0) &&
      a.st.tcp.tcb.count + b.st.tcp.tcb.count + b.st.tcp.syncache.count === 0
    );
  };
  if (!net.run(LIMIT_US, step)) {
    const say = (e: Actor, i: number) => `${i}: sent ${e.sent}, received ${e.received}, closed ${e.errno}`;
    throw new Error(
      `not over after ${LIMIT_US / SECOND} s: clients ${clients.map(say).join('; ')}; servers ${servers.map(say).join('; ')}; ` +
        `${a.st.tcp.tcb.count} and ${b.st.tcp.tcb.count} connections, ${b.st.tcp.syncache.count} handshakes`,
    );
  }
  const seconds = net.clock.now / SECOND;
  judge(c, clients, servers);
  nothingLeft(net, [a, b], timers);
  const whole = c.connections - clients.filter((e) => e.errno !== 0).length;
  return { events: net.events, seconds, whole };
}

/** An ARP packet of `from` that names another sender: a card would have found the damage. */
function damagedArp(f: SimFrame, from: SimNode): boolean {
  const v = new DataView(f.u8.buffer, f.u8.byteOffset, f.len);
  if (v.getUint16(12) !== 0x0806) return false;
  return v.getUint16(22) !== MAC_HI || v.getInt32(24) !== from.addr || v.getInt32(28) !== from.addr;
}

function judge(c: NetworkCase, clients: readonly Actor[], servers: readonly Actor[]): void {
  for (const [who, list, peer] of [
    ['client', clients, c.server],
    ['server', servers, c.client],
  ] as const) {
    list.forEach((e, i) => {
      const me = `${who} ${i}`;
      if (e.wrong !== '') throw new Error(`${me}: ${e.wrong}`);
      if (e.received > peer.bytes) throw new Error(`${me}: ${e.received} bytes of ${peer.bytes}`);
      if (e.connections > 1) throw new Error(`${me}: connected ${e.connections} times`);
      // The end of the stream is told after all of it, never before.
      if (e.ended && e.received !== peer.bytes)
        throw new Error(`${me}: end behind ${e.received} of ${peer.bytes} bytes`);
      if (harsh(c) || broken(c)) return;
      if (e.errno !== 0) throw new Error(`${me}: ${errnoName(e.errno)} after ${e.received} of ${peer.bytes} bytes`);
      if (!e.ended) throw new Error(`${me}: closed without the peer's end`);
    });
  }
  if (!harsh(c) && !broken(c) && servers.length !== c.connections) {
    throw new Error(`${servers.length} connections accepted of ${c.connections}`);
  }
}

/** Nothing is under way, in a queue, held or waited for any more. */
function nothingLeft(net: SimNetwork, nodes: readonly SimNode[], timers: readonly number[]): void {
  // Frames that are still on their way find nobody, and the host caches are emptied with their next pruning.
  for (const n of nodes) n.st.tune.tcp_hc_purge = 1;
  net.run(net.clock.now + (nodes[0]!.st.tune.tcp_hc_prune + 10) * SECOND);
  if (net.frames.out !== 0) throw new Error(`${net.frames.out} frames still under way`);
  nodes.forEach((n, i) => {
    // Whether a neighbour is being asked, or was forgotten because its answers were lost, is not the connections' affair.
    n.learn(nodes[1 - i]!);
    n.st.flush();
    const { tcp, wheel } = n.st;
    if (n.pool.held !== 0) throw new Error(`${n.name}: ${n.pool.held} mbufs held`);
    if (n.pool.available !== n.pool.count)
      throw new Error(`${n.name}: ${n.pool.available} of ${n.pool.count} frames free`);
    if (tcp.tcb.count !== 0 || tcp.flowids.size !== 0)
      throw new Error(`${n.name}: ${tcp.tcb.count} control blocks, ${tcp.flowids.size} flow ids`);
    if (tcp.hostcache.count !== 0) throw new Error(`${n.name}: ${tcp.hostcache.count} entries in the host cache`);
    if (tcp.reassFrames !== 0) throw new Error(`${n.name}: ${tcp.reassFrames} frames in reassembly`);
    if (wheel.size !== timers[i]) throw new Error(`${n.name}: ${wheel.size} timers armed, ${timers[i]} at the start`);
  });
}
