import { availableParallelism } from 'node:os';
import { CLK, CLOCK_WORDS, type Native } from '../driver/native.ts';
import type { ShardLink } from '../driver/shard-link.ts';
import { UnixLink } from '../driver/unix/link.ts';
import { UnixPort } from '../driver/unix/port.ts';
import { XskLink } from '../driver/xsk.ts';
import type { DummynetChange } from '../dummynet/control.ts';
import { Dummynet, type DummynetReport } from '../dummynet/dummynet.ts';
import { Core, type CoreMessage } from '../endpoint/core.ts';
import { counterBlock, stks, tcps } from '../metrics/layout.ts';
import { rxqBlock, txqBlock } from '../metrics/queuekv.ts';
import { ulinkBlock } from '../metrics/ulinkkv.ts';
import { parseIPv4 } from '../net/address.ts';
import { Ifiqueue } from '../rings/ifiqueue.ts';
import { Ifqueue } from '../rings/ifqueue.ts';
import { FRAME_SIZE, ROW } from '../rings/link.ts';
import { FramePool } from '../rings/mbuf.ts';
import type { CycleCounts } from '../siftr/format.ts';
import { SiftrHook } from '../siftr/hook.ts';
import { type Ifnet, ifaddrAdd } from '../stack/ifnet.ts';
import { inetNtoa } from '../stack/net/in-addr.ts';
import { setByteCopier } from '../stack/socket/sockbuf.ts';
import type { Socket } from '../stack/socket/socket.ts';
import { Stack } from '../stack/stack.ts';
import { Tunables } from '../stack/sysctl.ts';
import { setCcDefault } from '../stack/tcp/cc/registry.ts';
import type { ConnName } from '../stack/tcp/conn-fields.ts';
import { tcpInit } from '../stack/tcp/tcp.ts';
import { type ConnSlice, connSlice, listenSlice } from './conn-slice.ts';
import { type DropSlice, type DropWanted, dropFlow, dropSlice } from './drop-slice.ts';
import { Joint } from './joint.ts';
import { LinkSync } from './link-sync.ts';
import type { Broadcast, PcbRow } from './messages.ts';
import { MachineRandom } from './random.ts';
import type { RunningService, ServiceHost, StatusFacts } from './services/host.ts';
import { findService } from './services/index.ts';
import { ShardClock } from './shard-clock.ts';
import { ShardLoop, type ShardWork } from './shard-loop.ts';
import type { ShardInterface, ShardSetup } from './shard-setup.ts';
import { ShardTime } from './shard-time.ts';
import { StatReader, type StatSlice } from './stat-slice.ts';
import { StackTransport } from './transport.ts';
import type { ShardTables, TfoKey } from './tuning.ts';

// The pure stack knows no Buffer; its byte loop is many times slower than this on whole segments.
const { copy } = Buffer.prototype;
setByteCopier((src, from, dst, to, len) => {
  copy.call(src, dst, to, from, from + len);
});

/** Rows of a receive batch. */
const RX_BATCH = 256;
/** Packets that start a transmission: one call to the link, and in copy mode one system call, for so many. */
const TXMIT = 64;
/** Packets in a batch that the sender thread is asked to send: below, waking it costs more than it saves. */
const SENDER_ROWS = 16;
/** Packets that the sender thread must have before it for this one to take a nap: some 2 µs each. */
const NAP_BACKLOG = 32;
/** Longest frame beyond its packet: Ethernet header and one VLAN tag. */
const LINK_HEADER = 18;
/** How soon a sleeping shard looks for completions that are still out. */
const RECLAIM_US = 1000;
/** How soon it looks for its frames that are with other shards: they wake it only for very many. */
const HOME_US = 100_000;

/** What a shard says to those around it: the main thread when it runs in a worker, the library when it runs in the caller's thread. */
export interface ShardOutside {
  log(level: 'debug' | 'info' | 'warn' | 'error', text: string): void;
  /** To every other shard. */
  broadcast(msg: Broadcast): void;
  /** The shard broke: it has stopped and will not go on. */
  failed(err: unknown): void;
}

/** Two words of a station address: bytes 0..1, and bytes 2..5 as int32. */
export function macWords(mac: string): { macHi: number; macLo: number } {
  const b = mac.split(':').map((x) => Number.parseInt(x, 16));
  if (b.length !== 6 || b.some((x) => !(x >= 0 && x <= 255))) throw new RangeError(`${mac}: not a station address`);
  return { macHi: (b[0]! << 8) | b[1]!, macLo: (b[2]! << 24) | (b[3]! << 16) | (b[4]! << 8) | b[5]! };
}

/**
 * One shard: queue k of every interface, with its own stack, connections and services (DESIGN.md, "Shards"). It runs in the thread that
 * makes it, a worker of the daemon or the caller's own.
 */
export class Shard implements ShardWork {
  readonly stack: Stack;
  readonly transport: StackTransport;
  readonly clock = new ShardClock();
  /** The sockets of the endpoint on this shard; null where there is no endpoint. */
  readonly endpoint: Core | null;
  readonly #native: Native;
  readonly #setup: ShardSetup;
  readonly #outside: ShardOutside;
  /** Time as it can be seen and set from outside. */
  readonly time: ShardTime;
  /** Waits for what was injected on a Unix link. */
  readonly linkSync: LinkSync;
  readonly #links: ShardLink[] = [];
  /** Those of the links that are sockets of the kernel's, and those that are Unix sockets. */
  readonly #xsks: XskLink[] = [];
  readonly #ulinks: UnixLink[] = [];
  readonly #uports: UnixPort[] = [];
  /** By interface, whether its link is up. */
  readonly #linkUp: boolean[];
  readonly #table = new Int32Array(RX_BATCH * ROW);
  /** Where the machine's clock is read to, beside `clock`. */
  readonly #page = new Float64Array(CLOCK_WORDS);
  readonly #joint: Joint | null;
  readonly #loop: ShardLoop;
  readonly #siftr: SiftrHook;
  readonly #dummynet: Dummynet;
  readonly #stats: StatReader;
  readonly #services: RunningService[] = [];
  readonly #bus = new Map<string, Set<(msg: unknown) => void>>();
  readonly #startedUs: number;
  /** Free frames are a gauge that is brought up to date when the shard goes to sleep. */
  readonly #cnt: Float64Array;

  /** Takes its queues and starts its services; nothing is forwarded before `start`. Throws what the addon throws. */
  constructor(native: Native, setup: ShardSetup, outside: ShardOutside) {
    this.#native = native;
    this.#setup = setup;
    this.#outside = outside;
    this.#linkUp = setup.interfaces.map(() => true);
    const { clock } = this;
    clock.read(native);
    this.#startedUs = clock.wallUs();
    const cnt = counterBlock(setup.counters, setup.shard);
    this.#cnt = cnt;
    const tune = Object.assign(new Tunables(), setup.tunables);
    const { first, count } = setup.frames;
    const pool =
      first === null
        ? new FramePool(new ArrayBuffer(count * FRAME_SIZE), 0, count)
        : new FramePool(native.umem(), first, count);
    const random = new MachineRandom();
    const { shard, nshards, secret } = setup;
    const st = new Stack({ clock, random, cnt, pool, tune, shard, nshards, secret });
    this.stack = st;
    this.#stats = new StatReader(st);
    st.onWarning = (text) => outside.log('warn', text);
    tcpInit(st);
    setCcDefault(st, setup.cc.algorithm);
    for (const key of setup.tfoKeys) giveTfoKey(st, key);
    setup.interfaces.forEach((itf, i) => {
      const link = itf.link.kind === 'xsk' ? this.#openXsk(native, itf, pool) : this.#makeUnix(itf, i, pool);
      this.#links.push(link);
      const block = i * setup.nshards + setup.shard;
      const ifp = st.ifAttach({
        name: itf.name,
        queue: itf.queue,
        mtu: itf.mtu,
        ...macWords(itf.mac),
        // One less than the ring holds, as ix(4) sets it (spec/counters.md 4.1).
        ifq: new Ifqueue(txqBlock(setup.queues, block), setup.ringSize - 1),
        ifiq: new Ifiqueue(rxqBlock(setup.queues, block)),
        link,
        txmit: TXMIT,
        bare: itf.link.kind === 'unix' && itf.link.mode === 'ip',
      });
      for (const a of itf.addrs) ifaddrAdd(st, ifp, a.addr, a.prefixLen);
    });
    for (const r of setup.routes) {
      st.routes.add({ dst: r.dst, prefixLen: r.prefixLen, gateway: r.gateway, ifp: st.ifnets[r.ifIndex]!, src: r.src });
    }
    for (const n of setup.neighbours) {
      const { macHi, macLo } = macWords(n.mac);
      st.arp.learn(st.ifnets[n.ifIndex]!, parseIPv4(n.addr) ?? 0, macHi, macLo);
    }
    this.#joint = setup.joint === null ? null : new Joint(native, st, setup.shard, setup.joint);
    if (setup.nshards > 1) {
      st.onArpResolved = (ifp, addr, macHi, macLo) =>
        outside.broadcast({ kind: 'arp', ifIndex: ifp.index, addr, macHi, macLo });
    }
    this.#siftr = new SiftrHook(st, setup.siftr.ring, setup.siftr.cfg);
    if (setup.siftr.enableUs !== null) this.#siftr.hook(setup.siftr.enableUs);
    const page = this.#page;
    this.#dummynet = new Dummynet(st, () => {
      if (clock.virtual) return clock.us;
      native.readClock(page);
      return page[CLK.US]!;
    });
    for (const { number, spec } of setup.dummynet.pipes) this.#dummynet.configure(number, spec);
    this.#dummynet.setRules(setup.dummynet.rules);
    this.#loop = new ShardLoop(native, this, clock, {
      queues: Int32Array.from(this.#xsks, (l) => l.handle),
      eventfd: this.#joint?.eventfd ?? -1,
      busyPoll: setup.busyPoll,
    });
    this.#loop.onError = (err) => outside.failed(err);
    this.time = new ShardTime(native, {
      clock,
      wheel: st.wheel,
      pass: () => this.pass(),
      enter: () => this.enter(),
      frames: () => this.#ulinks.reduce((n, l) => n + l.frames, 0),
      backlog: () => this.#ulinks.reduce((n, l) => n + l.backlog, 0),
      drained: async () => void (await Promise.all(this.#ulinks.map((l) => l.drained()))),
      canBeVirtual: this.#xsks.length === 0,
    });
    this.linkSync = new LinkSync(this.#ulinks);
    this.transport = new StackTransport(st, () => this.enter());
    this.endpoint = setup.endpoint ? this.#openEndpoint() : null;
    for (const name of setup.services) this.#services.push(findService(name)!.start(this.#host()));
  }

  #openEndpoint(): Core {
    const { shard, nshards } = this.#setup;
    const { bus } = this.#host();
    const core = new Core(this.stack, {
      shard,
      nshards,
      publish: (msg) => bus.publish('endpoint', msg),
      wait: () => this.time.wait(),
    });
    bus.subscribe('endpoint', (msg) => core.receive(msg as CoreMessage));
    return core;
  }

  /**
   * Begins to forward; shard 0 announces the addresses, those of a Unix link whenever a peer is there to hear it.
   * @throws DriverError where a Unix link cannot listen; what was opened by then is closed by `stop`
   */
  async start(): Promise<void> {
    this.#loop.start();
    for (const p of this.#uports) await p.open();
    if (this.#setup.shard !== 0) return;
    this.stack.ifnets.forEach((ifp, i) => {
      if (this.#setup.interfaces[i]!.link.kind === 'xsk') this.#announce(ifp);
    });
  }

  /** To be called before the stack is used from outside of one of its callbacks. */
  enter(): void {
    this.#loop.wake();
  }

  pass(): boolean {
    const st = this.stack;
    const { clock } = this;
    const links = this.#links;
    let worked = false;
    // Sockets of the kernel's bring the clock up to date with each receive; Unix links know of none.
    if (this.#xsks.length === 0) clock.read(this.#native);
    for (let i = 0; i < links.length; i++) {
      const n = links[i]!.receive(this.#table, RX_BATCH);
      clock.sync();
      if (n > 0) {
        st.input(st.ifnets[i]!, this.#table, n);
        worked = true;
      }
    }
    if (this.#joint !== null && this.#joint.drain()) worked = true;
    st.runTimers();
    if (st.flush()) worked = true;
    for (let i = 0; i < this.#ulinks.length; i++) this.#ulinks[i]!.finished();
    this.#siftr.publish();
    if (this.#siftr.clockUsed) this.#siftr.batchEnd(this.#clockAge());
    if (worked) this.#cnt[stks.stks_passes]!++;
    return worked;
  }

  /** µs since the reading of the clock that everything in this pass has for its time. */
  #clockAge(): number {
    const { clock } = this;
    if (clock.virtual) return 0;
    const page = this.#page;
    this.#native.readClock(page);
    return (page[CLK.US]! - clock.us) | 0;
  }

  sending(): boolean {
    for (const link of this.#xsks) if (link.senderBacklog() >= NAP_BACKLOG) return true;
    return false;
  }

  hasWork(): boolean {
    for (const ifp of this.stack.ifnets) {
      // On a link that is down nothing is taken before it comes up, and `setLink` says when.
      if (!this.#linkUp[ifp.index]) continue;
      if (this.#links[ifp.index]!.hasWork(ifp.ifq.len)) return true;
    }
    return this.#joint?.hasWork() ?? false;
  }

  untilTimer(): number {
    // Virtual time is moved by others, and they see to what is due.
    if (this.clock.virtual) return -1;
    let due = this.stack.wheel.nextDeadline();
    if (this.#joint !== null && this.#joint.abroad > 0 && (due < 0 || due > HOME_US)) due = HOME_US;
    // Completions wake nobody either, and their frames may be the ones that the fill ring waits for.
    for (const ifp of this.stack.ifnets) {
      if (ifp.txPending > 0 && this.#linkUp[ifp.index] && (due < 0 || due > RECLAIM_US)) return RECLAIM_US;
    }
    return due;
  }

  untilRelease(): number {
    return this.clock.virtual ? -1 : this.#dummynet.untilRelease();
  }

  setSleeping(on: boolean): void {
    if (on) {
      this.#cnt[stks.stks_sleeps]!++;
      this.#cnt[stks.stks_frames_free] = this.stack.pool.available;
    }
    this.#joint?.setSleeping(on);
  }

  /** Links or unlinks the SIFTR hook. @param enableUs time of the enable line, wall µs */
  siftr(on: boolean, enableUs: number): void {
    this.enter();
    if (on) this.#siftr.hook(enableUs);
    else this.#siftr.unhook();
    this.#dummynet.relink();
  }

  /** `SiftrHook.cut`. */
  siftrCut(enableUs: number): CycleCounts {
    this.enter();
    return this.#siftr.cut(enableUs);
  }

  /** `SiftrHook.setRing`. */
  siftrRing(ring: SharedArrayBuffer): void {
    this.#siftr.setRing(ring);
  }

  /** Makes, changes or deletes pipes and rules. */
  changeDummynet(change: DummynetChange): void {
    this.enter();
    const dn = this.#dummynet;
    if (change.kind === 'pipe') dn.configure(change.number, change.spec);
    else if (change.kind === 'rules') dn.setRules(change.rules);
    else if (change.kind === 'delete') dn.remove(change.number);
    else dn.flush();
  }

  dummynetReport(): DummynetReport {
    return this.#dummynet.report();
  }

  /** Sets fields of `Tunables`. */
  setTunables(fields: Readonly<Record<string, number>>): void {
    Object.assign(this.stack.tune, fields);
    this.stack.tcp.hostcache.tuned();
    this.stack.tcp.tfo.tuned();
  }

  /** What is shown in knobs that can only be read. */
  tables(): ShardTables {
    this.enter();
    const { hostcache, tfo } = this.stack.tcp;
    const { numKeys, numPsks } = tfo.keys;
    return { hostCache: hostcache.list(), ccache: tfo.cache.list(), numKeys, numPsks };
  }

  /** Connections made from now on have that congestion control, unless they name one. */
  setCc(name: string): void {
    setCcDefault(this.stack, name);
  }

  /** Gives Fast Open a key. */
  setTfoKey(key: TfoKey): void {
    this.enter();
    giveTfoKey(this.stack, key);
  }

  /** The link of an interface went down or came up; what waits to be sent is sent then. */
  setLink(ifIndex: number, up: boolean): void {
    this.#linkUp[ifIndex] = up;
    this.enter();
  }

  /** A message from another shard. */
  receive(msg: Broadcast): void {
    this.enter();
    if (msg.kind === 'arp') this.stack.arp.learn(this.stack.ifnets[msg.ifIndex]!, msg.addr, msg.macHi, msg.macLo);
    else for (const fn of this.#bus.get(msg.topic) ?? []) fn(msg.msg);
  }

  /** A slice of the connections or listening sockets. */
  conns(what: 'listen' | 'connected', cursor: number): ConnSlice {
    // Timers and ages are those of now, not of the last pass; what is due is not done here.
    this.enter();
    return what === 'listen' ? listenSlice(this.stack, cursor, this.endpoint?.own) : connSlice(this.stack, cursor);
  }

  /** A slice of the connections with these fields alone. */
  stats(cursor: number, fields: readonly ConnName[]): StatSlice {
    this.enter();
    return this.#stats.slice(cursor, fields);
  }

  /** Drops connections of a slice. */
  drop(cursor: number, wanted: DropWanted): DropSlice {
    this.enter();
    return dropSlice(this.stack, cursor, wanted);
  }

  /** Drops one connection; false when it is not here. Addresses are int32. */
  dropFlow(laddr: number, lport: number, faddr: number, fport: number): boolean {
    this.enter();
    return dropFlow(this.stack, laddr, lport, faddr, fport);
  }

  /** Connections and listeners, for netstat. */
  pcbs(): PcbRow[] {
    const { tcp } = this.stack;
    const { shard } = this.#setup;
    const text = (addr: number): string => (addr === 0 ? '*' : inetNtoa(addr));
    const rows: PcbRow[] = tcp.listeners.all().map((l) => ({
      proto: 'tcp',
      recvq: 0,
      sendq: 0,
      laddr: text(l.addr),
      lport: l.port,
      faddr: '*',
      fport: 0,
      state: 1,
      shard,
    }));
    tcp.tcb.forEach((inp) => {
      rows.push({
        proto: 'tcp',
        recvq: inp.inp_socket?.so_rcv.sb_cc ?? 0,
        sendq: inp.inp_socket?.so_snd.sb_cc ?? 0,
        laddr: text(inp.l3),
        lport: inp.lport,
        faddr: text(inp.f3),
        fport: inp.fport,
        state: inp.tp?.t_state ?? 0,
        shard,
      });
    });
    return rows;
  }

  /** Stops the services, resets the connections that are left, and sends what is queued. Idempotent. */
  drain(): void {
    this.enter();
    // What is sent from here on would not come out of a pipe in time.
    this.#dummynet.flush();
    for (const s of this.#services.splice(0)) s.stop();
    this.endpoint?.close();
    for (const l of this.stack.tcp.listeners.all()) l.close();
    const open: Socket[] = [];
    this.stack.tcp.tcb.forEach((inp) => {
      if (inp.inp_socket !== null) open.push(inp.inp_socket);
    });
    for (const so of open) so.abort();
    this.stack.flush();
  }

  /** Ends the loop and closes the sockets. Idempotent. */
  stop(): void {
    this.time.stop();
    this.linkSync.stop();
    this.#siftr.unhook();
    this.#dummynet.flush();
    this.#loop.stop();
    for (const p of this.#uports) p.close();
    for (const l of this.#links) l.close();
  }

  #announce(ifp: Ifnet): void {
    for (const a of ifp.addrs) this.stack.arp.announce(ifp, a.addr);
  }

  #openXsk(native: Native, itf: ShardInterface, pool: FramePool): XskLink {
    if (itf.link.kind !== 'xsk') throw new Error(`${itf.name}: no port of the addon`);
    const { ringSize, busyPoll } = this.#setup;
    const link = new XskLink(native, itf.link, { queue: itf.queue, pool, page: this.clock.page, ringSize });
    // Where there is one processor, or each is kept busy, another thread is no help.
    if (!busyPoll && availableParallelism() > 1) link.useSender(SENDER_ROWS);
    this.#xsks.push(link);
    return link;
  }

  #makeUnix(itf: ShardInterface, index: number, pool: FramePool): UnixLink {
    if (itf.link.kind !== 'unix') throw new Error(`${itf.name}: no Unix link`);
    const { name, mtu } = itf;
    const { mode, path, role } = itf.link;
    const counters = ulinkBlock(this.#setup.ulinks, index);
    const link = new UnixLink({
      pool,
      clock: this.clock,
      counters,
      maxFrame: mode === 'ip' ? mtu : mtu + LINK_HEADER,
      slots: this.#setup.ringSize,
    });
    link.onReadable = () => this.enter();
    const changed = (up: boolean, why: string): void => this.#unixChanged(index, up, why);
    this.#uports.push(new UnixPort({ name, path, role, link, counters, changed }));
    this.#ulinks.push(link);
    return link;
  }

  /** A peer has come, or has gone: another one may have another station address. */
  #unixChanged(index: number, up: boolean, why: string): void {
    const ifp = this.stack.ifnets[index]!;
    this.enter();
    if (up && !ifp.bare) {
      this.stack.arp.linkUp(ifp);
      this.#announce(ifp);
    }
    if (up) this.#outside.log('info', `${ifp.name}: link state changed to UP`);
    else this.#outside.log('warn', `${ifp.name}: link state changed to DOWN (${why})`);
  }

  #host(): ServiceHost {
    const { shard, nshards } = this.#setup;
    return {
      transport: this.transport,
      shard,
      nshards,
      bus: {
        publish: (topic, msg) => this.#outside.broadcast({ kind: 'bus', topic, msg }),
        subscribe: (topic, fn) => {
          let set = this.#bus.get(topic);
          if (set === undefined) {
            set = new Set();
            this.#bus.set(topic, set);
          }
          set.add(fn);
          return () => void set.delete(fn);
        },
      },
      log: (text) => this.#outside.log('info', text),
      status: () => this.#facts(),
    };
  }

  /** Facts of the status page: all shards' counters lie in the same memory. */
  #facts(): StatusFacts {
    const { counters, queues, nshards, version, interfaces } = this.#setup;
    const blocks = Array.from({ length: nshards }, (_, k) => counterBlock(counters, k));
    const sum = (slot: number): number => blocks.reduce((n, b) => n + b[slot]!, 0);
    let rx = 0;
    let tx = 0;
    for (let i = 0; i < nshards * interfaces.length; i++) {
      rx += rxqBlock(queues, i)[0]!;
      tx += txqBlock(queues, i)[0]!;
    }
    return {
      version,
      iface: interfaces[0]?.name ?? '',
      uptime: (this.clock.wallUs() - this.#startedUs) / 1e6,
      counters: [
        ['packets in', rx],
        ['packets out', tx],
        ['connections', sum(tcps.tcps_active)],
        ['connections accepted', sum(tcps.tcps_accepts)],
        ['segments in', sum(tcps.tcps_rcvtotal)],
        ['segments out', sum(tcps.tcps_sndtotal)],
        ['segments sent again', sum(tcps.tcps_sndrexmitpack)],
      ],
    };
  }
}

function giveTfoKey(st: Stack, key: TfoKey): void {
  const { keys } = st.tcp.tfo;
  if (key.psk) keys.setPsk(key.words);
  else keys.setKey(key.words);
}
