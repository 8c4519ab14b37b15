import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Result, Running, type RunOptions, run } from './process.ts';

/**
 * The lab: two network namespaces joined by one veth pair.
 *
 *   near namespace          far namespace
 *   ix1  192.0.2.1/24  ---  peer0  192.0.2.2/24
 *   (xsiftr takes it)       (Linux, the peer)
 *
 * Everything made here is removed again, whether the test passes, throws or is interrupted.
 */

/** The checkout's top folder. */
export const ROOT = join(import.meta.dirname, '../..');
export const XSIFTR = join(ROOT, 'bin/xsiftr');
export const NEAR_ADDRESS = '192.0.2.1';
export const FAR_ADDRESS = '192.0.2.2';

export interface LabOptions {
  /** Queues of either end and direction (default 1). */
  readonly queues?: number;
  /** MTU of both ends (default 1500). */
  readonly mtu?: number;
  /**
   * Whether the far end keeps its offloads (default true: as a fresh veth has them, so checksums arrive partial). False turns
   * tx checksums, TSO, GSO and GRO off there.
   */
  readonly peerOffloads?: boolean;
  /** Give ix1 its address, for xsiftr to adopt (default true). */
  readonly address?: boolean;
  /**
   * Whether the far end's TCP sends nothing again before 10 s are over, tail loss probes neither (default false): for tests that count segments where
   * none is lost. It takes a few milliseconds in which xsiftr does not get to run for a probe to be sent. What xsiftr needs for it is `PATIENT`.
   */
  readonly patient?: boolean;
}

/** Options that have xsiftr send nothing again before 10 s are over; see `LabOptions.patient`. */
export const PATIENT: readonly string[] = ['tlp=0', 'rexmit_min=10000', 'rexmit_initial=10000'].flatMap((knob) => [
  '--sysctl',
  `net.inet.tcp.${knob}`,
]);

/** Why labs cannot be built here, or an empty string. For `test.skipIf(labMissing())`. */
export function labMissing(...programs: string[]): string {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const program of ['ip', 'ethtool', ...programs]) {
    if (spawnSync('sh', ['-c', 'command -v "$0"', program]).status !== 0) return `needs ${program}`;
  }
  return '';
}

let labs = 0;

export class Lab {
  /** Names of the two namespaces. */
  readonly nearNs: string;
  readonly farNs: string;
  readonly queues: number;
  /** A folder of its own under the system's temporary one; goes with the lab. */
  readonly dir: string;
  private readonly started = new Set<Running>();
  private readonly onExit = () => this.removeNow();

  private constructor(name: string, queues: number) {
    const id = `${name}-${process.pid}-${labs++}`;
    this.nearNs = `${id}-a`;
    this.farNs = `${id}-b`;
    this.queues = queues;
    this.dir = mkdtempSync(join(tmpdir(), `xsiftr-${name}-`));
  }

  /** Builds it. @throws when a command of the set-up fails; what was made by then is removed. */
  static async create(name: string, options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(name, options.queues ?? 1);
    process.on('exit', lab.onExit);
    try {
      await lab.setUp(options);
    } catch (error) {
      await lab.remove();
      throw error;
    }
    return lab;
  }

  private async setUp(options: LabOptions): Promise<void> {
    const { nearNs, farNs, queues } = this;
    const mtu = options.mtu ?? 1500;
    for (const ns of [nearNs, farNs]) {
      await run(['ip', 'netns', 'add', ns]);
      // No router solicitations, DAD or MLD: the only frames are those that a test causes.
      await this.exec(ns, 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
      await this.exec(ns, 'ip link set lo up');
    }
    const size = `mtu ${mtu} numrxqueues ${queues} numtxqueues ${queues}`;
    await run(`ip link add ix1 netns ${nearNs} ${size} type veth peer name peer0 netns ${farNs} ${size}`);
    await this.far('ip addr add 192.0.2.2/24 dev peer0 && ip link set peer0 up');
    if (options.address !== false) await this.near('ip addr add 192.0.2.1/24 dev ix1');
    await this.near('ip link set ix1 up');
    if (options.peerOffloads === false) await this.far('ethtool -K peer0 tx off tso off gso off gro off');
    if (options.patient) {
      await this.far('sysctl -qw net.ipv4.tcp_early_retrans=0');
      await this.far('ip route change 192.0.2.0/24 dev peer0 proto kernel scope link src 192.0.2.2 rto_min 10s');
    }
  }

  private exec(ns: string, command: string | readonly string[], options?: RunOptions): Promise<Result> {
    const words = typeof command === 'string' ? ['sh', '-c', command] : command;
    return run(['ip', 'netns', 'exec', ns, ...words], options);
  }

  /** Runs a command in xsiftr's namespace, to its end. A string goes through `sh -c`. */
  near(command: string | readonly string[], options?: RunOptions): Promise<Result> {
    return this.exec(this.nearNs, command, options);
  }

  /** Runs a command in the peer's namespace, to its end. A string goes through `sh -c`. */
  far(command: string | readonly string[], options?: RunOptions): Promise<Result> {
    return this.exec(this.farNs, command, options);
  }

  /** Starts a program in the peer's namespace. It is killed with the lab. */
  spawnFar(words: readonly string[], options?: RunOptions): Running {
    return this.keep(new Running(['ip', 'netns', 'exec', this.farNs, ...words], options));
  }

  /** Starts a program in xsiftr's namespace. It is killed with the lab. */
  spawnNear(words: readonly string[], options?: RunOptions): Running {
    return this.keep(new Running(['ip', 'netns', 'exec', this.nearNs, ...words], options));
  }

  /** Has a process killed with the lab. */
  keep(running: Running): Running {
    this.started.add(running);
    running.exited.catch(() => {}).finally(() => this.started.delete(running));
    return running;
  }

  /** Stops what was started here, the youngest first, and removes the namespaces and with them the interfaces. */
  async remove(): Promise<void> {
    for (const running of [...this.started].reverse()) await running.stop('SIGINT', 5000).catch(() => 0);
    this.removeNow();
  }

  /** The same without waiting, for an exiting process. */
  private removeNow(): void {
    process.removeListener('exit', this.onExit);
    for (const running of this.started) running.killGroup();
    for (const ns of [this.nearNs, this.farNs]) {
      const pids = spawnSync('ip', ['netns', 'pids', ns], { encoding: 'utf8' }).stdout ?? '';
      for (const pid of pids.split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended meanwhile.
        }
      }
      spawnSync('ip', ['netns', 'del', ns], { stdio: 'ignore' });
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Builds a lab, runs `body` in it and removes it, whatever happens. */
export async function withLab<T>(name: string, options: LabOptions, body: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = await Lab.create(name, options);
  try {
    return await body(lab);
  } finally {
    await lab.remove();
  }
}

/**
 * Replies that a ping of iputils counts. When it has asked for the last time it waits twice as long as any reply has taken, or its interval, be that 10 ms;
 * -W is for when none has come. With `-w SECONDS` it goes on until it has -c of them, or more that come at once.
 */
export function pingReplies(out: string): number {
  return Number(/(\d+) received/.exec(out)?.[1]);
}

/** A TCP port of 127.0.0.1 that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

const CONTROLS = '/proc/sys/net/ipv4/tcp_allowed_congestion_control';

/**
 * Lets namespaces choose a congestion control, which they may only while the initial one allows it.
 * @returns what puts the setting back, as it is the whole machine's
 */
export function allowCongestion(name: string): () => void {
  const before = readFileSync(CONTROLS, 'utf8').trim();
  if (before.split(' ').includes(name)) return () => {};
  writeFileSync(CONTROLS, `${before} ${name}`);
  return () => writeFileSync(CONTROLS, before);
}

/** A running xsiftr. */
export interface Xsiftr {
  readonly running: Running;
  /** Lines of its standard output so far. */
  readonly lines: string[];
  /** The line that says what it attached to. */
  readonly attachLine: string;
  readonly control: string;
  readonly siftrLog: string;
  /** Where /metrics answers, `http://127.0.0.1:PORT`. */
  readonly metrics: string;
  /** Runs `xsiftr COMMAND …` against this instance. */
  command(words: readonly string[], options?: RunOptions): Promise<Result>;
  /** SIGINT, and the exit code. */
  stop(): Promise<number>;
}

/** The word after `name`, as given to the program. */
function optionValue(words: readonly string[], name: string): string | undefined {
  const at = words.findIndex((word) => word === name || word.startsWith(`${name}=`));
  if (at < 0) return undefined;
  return words[at] === name ? words[at + 1] : words[at]!.slice(name.length + 1);
}

export interface StartOptions extends RunOptions {
  /** Another xsiftr than the checkout's. */
  readonly program?: string;
}

/**
 * Starts `xsiftr --iface ix1 --queues N --netns … ARGS` and waits until it answers. Control socket, SIFTR log and metrics port
 * are the lab's own unless `args` name them, so that labs do not meet.
 */
export async function startXsiftr(lab: Lab, args: readonly string[] = [], options: StartOptions = {}): Promise<Xsiftr> {
  const program = options.program ?? XSIFTR;
  const words = [program, '--iface', 'ix1', '--netns', lab.nearNs, ...args];
  const orElse = (name: string, value: () => string): string => {
    const given = optionValue(args, name);
    if (given !== undefined) return given;
    const own = value();
    words.push(name, own);
    return own;
  };
  if (optionValue(args, '-q') === undefined) orElse('--queues', () => String(lab.queues));
  const control = orElse('--control', () => join(lab.dir, 'control.sock'));
  const port = await freePort();
  const metrics = orElse('--metrics', () => `127.0.0.1:${port}`);
  const siftrLog = args.includes('--no-siftr') ? '' : orElse('--siftr-log', () => join(lab.dir, 'siftr.log'));

  const running = lab.keep(new Running(words, options));
  const attachLine = await running.waitLine(/^\S+ at .+ queue/);
  const command = (more: readonly string[], runOptions?: RunOptions) =>
    run([program, ...more, '--control', control], { env: options.env, ...runOptions });
  await command(['wait', '--timeout', '20']);
  return {
    running,
    lines: running.lines,
    attachLine,
    control,
    siftrLog,
    metrics: `http://${metrics}`,
    command,
    stop: () => running.stop('SIGINT', 20_000),
  };
}
