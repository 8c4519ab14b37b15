import { rmSync, symlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { attachLine } from '../driver/attach.ts';
import { type Guard, startGuard } from '../driver/guard.ts';
import type { Native, PortInfo } from '../driver/native.ts';
import { setMtu } from '../driver/netdev.ts';
import { netnsPath } from '../driver/netns.ts';
import { applyNarrow } from '../driver/rss.ts';
import { UndoFile } from '../driver/undo.ts';
import { FRAME_SIZE } from '../rings/link.ts';
import type { CountedPort } from './counters.ts';
import { oneLine, SystemError } from './errors.ts';
import { LinkWatch } from './link-watch.ts';
import type { Logger } from './logger.ts';
import { controlLink } from './paths.ts';
import { framesPerQueue, type NicPlan } from './plan.ts';
import type { ShardInterface, ShardNeighbour, ShardRoute, ShardSetup } from './shard-setup.ts';
import type { GivenBack, Taken, Watcher } from './take.ts';

/** Longest frame beyond its packet: Ethernet header and one VLAN tag. */
const LINK_HEADER = 18;

/** The line of an interface that was attached. */
export function nicAttachLine(plan: NicPlan, port: Pick<PortInfo, 'mode' | 'zeroCopy'>): string {
  const { dev, queues, narrow, frames } = plan;
  return attachLine({
    dev,
    xdp: port.mode,
    zeroCopy: port.zeroCopy,
    queues,
    narrowed: narrow.shown,
    umemBytes: frames * FRAME_SIZE,
  });
}

/**
 * An interface that this process has taken over: its undo file with the guard, RSS and MTU as planned, the UMEM, and the port with its
 * sockets. Nothing is claimed from the kernel before `claim`.
 */
export class TakenInterface implements Taken {
  readonly plan: NicPlan;
  readonly #native: Native;
  readonly #undo: UndoFile;
  #guard: Guard | null = null;
  #port: PortInfo | null = null;

  private constructor(plan: NicPlan, native: Native, undo: UndoFile) {
    this.plan = plan;
    this.#native = native;
    this.#undo = undo;
  }

  /** Takes it. Throws DriverError or SystemError, after everything that was changed is undone. */
  static async take(plan: NicPlan, native: Native, log: Logger): Promise<TakenInterface> {
    // The guard keeps the namespace of a peer that it has to reach; of another one it would outlive the deletion.
    const peer = plan.narrow.undo.some((a) => a.kind === 'peer') ? plan.dev.peer : null;
    const taken = new TakenInterface(plan, native, UndoFile.open({ ...plan.dev, peer }));
    try {
      await taken.#setUp(log);
    } catch (err) {
      for (const text of (await taken.giveBack()).failed) log.error(`could not undo: ${text}`);
      throw err;
    }
    return taken;
  }

  /** What was got. */
  get port(): PortInfo {
    return this.#port!;
  }

  /** Names of the network namespaces that our sockets and the guard keep alive, even after they are deleted. */
  get namespaces(): string[] {
    const { netns, peer } = this.#undo.target;
    return [netns, peer?.netns ?? null].filter((n) => n !== null);
  }

  get counted(): readonly CountedPort[] {
    const { dev, queues } = this.plan;
    return [{ name: dev.name, port: this.port.port, queues, present: dev.queues }];
  }

  get mode(): string {
    return `${this.port.mode} ${this.port.zeroCopy ? 'zero-copy' : 'copy'}`;
  }

  get routes(): ShardRoute[] {
    return this.plan.routes.map((r) => ({ ...r, ifIndex: 0 }));
  }

  get neighbours(): ShardNeighbour[] {
    return this.plan.neighbours.map((n) => ({ ifIndex: 0, addr: n.address, mac: n.mac }));
  }

  frames(shard: number): ShardSetup['frames'] {
    const count = framesPerQueue(this.plan.options.ringSize);
    return { first: shard * count, count };
  }

  interfaces(shard: number): ShardInterface[] {
    const { dev, mtu, addrs } = this.plan;
    const { port, timestamp } = this.port;
    const link = { kind: 'xsk', port, timestamp } as const;
    return [{ name: dev.name, queue: shard, link, mtu, mac: dev.mac, addrs }];
  }

  attachLines(): string[] {
    return [nicAttachLine(this.plan, this.port)];
  }

  watch(w: Watcher): LinkWatch {
    const { port } = this.port;
    return new LinkWatch({
      name: this.plan.dev.name,
      namespaces: this.namespaces,
      flags: () => this.#native.linkFlags(port),
      log: w.log,
      changed: (up) => w.changed(0, up),
      gone: w.gone,
    });
  }

  gone(): boolean {
    return this.#native.linkFlags(this.port.port) < 0;
  }

  /** From now on the XDP program takes the frames for our addresses from the kernel. */
  claim(): void {
    const v4 = Int32Array.from(this.plan.addrs, (a) => a.addr);
    this.#native.setAddresses(this.port.port, v4, new Uint8Array(0));
  }

  /** Detaches the program and puts every setting back. The queues must be closed. Never throws; goes on past what fails. */
  async giveBack(): Promise<GivenBack> {
    const failed: string[] = [];
    const attempt = (what: string, work: () => void): void => {
      try {
        work();
      } catch (err) {
        failed.push(`${what}: ${oneLine(err)}`);
      }
    };
    const port = this.#port;
    this.#port = null;
    if (port !== null) attempt('XDP program', () => this.#native.closePort(port.port));
    attempt('packet memory', () => this.#native.destroyUmem());
    let result: GivenBack = { done: [], failed: [] };
    if (this.#guard !== null) result = await this.#guard.undo();
    else attempt('settings', () => (result = this.#undo.apply()));
    return { done: result.done, failed: [...failed, ...result.failed] };
  }

  /** Has commands find the control socket: they look into the run directory for sockets and for links to sockets. */
  #listControl(): void {
    const undo = this.#undo;
    const path = resolve(this.plan.controlPath);
    // Only paths of the run directory may stand in an undo file; a socket elsewhere is replaced by the next start.
    const inRunDir = dirname(path) === undo.runDir;
    if (inRunDir) undo.record({ kind: 'unlink', path });
    if (inRunDir && path.endsWith('.sock')) return;
    const link = controlLink(undo.path);
    undo.record({ kind: 'unlink', path: link });
    rmSync(link, { force: true });
    symlinkSync(path, link);
  }

  async #setUp(log: Logger): Promise<void> {
    const { plan } = this;
    const { dev, options } = plan;
    const undo = this.#undo;
    this.#listControl();
    this.#guard = await startGuard(undo, { onLost: (text) => log.error(text) });
    if (plan.narrow.hint !== null && options.xdp !== 'generic') log.warn(plan.narrow.hint);
    applyNarrow(plan.narrow, dev, undo);
    if (plan.mtu !== dev.mtu) {
      undo.record({ kind: 'mtu', mtu: dev.mtu });
      setMtu(dev, plan.mtu);
    }
    try {
      this.#native.createUmem(plan.frames, options.ringSize);
      this.#port = this.#native.openPort({
        ifname: dev.name,
        queues: plan.queues,
        ...(dev.netns === null ? {} : { netns: netnsPath(dev.netns) }),
        xdp: options.xdp,
        zeroCopy: options.zeroCopy,
        exclusive: options.exclusive,
        rxcsum: plan.rxcsum,
        maxFrame: plan.mtu + LINK_HEADER,
        busyPoll: options.busyPoll,
        timestamp: true,
      });
    } catch (err) {
      // The addon's own texts begin with the name already.
      throw new SystemError(`--iface ${dev.name}: ${oneLine(err).replace(`${dev.name}: `, '')}`);
    }
    for (const note of this.#port.notes) log.debug(note);
  }
}
