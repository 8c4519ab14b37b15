/** From options as they are given to an experiment in plain numbers, checked before anything runs. */
import { readFileSync } from 'node:fs';
import { MAX_SENDERS } from '../driver/sim/dumbbell.ts';
import { SimRandom } from '../driver/sim/random.ts';
import {
  type CodelConfig,
  checkPipeConfig,
  type GilbertConfig,
  IDEAL_PIPE,
  type PipeConfig,
  type RedConfig,
  type ReorderConfig,
} from '../impair/config.ts';
import { unit } from '../impair/loss.ts';
import { parseTrace, type RateTrace } from '../impair/trace.ts';
import {
  parseBytes,
  parsePacketNumbers,
  parseProbability,
  parseQueue,
  parseRate,
  parseTime,
  UnitError,
} from '../impair/units.ts';
import type { Random } from '../rings/clock.ts';
import { PREFIX, writeKnobs } from '../siftr/knobs.ts';
import { SiftrError } from '../siftr/logfile.ts';
import { metaPath } from '../siftr/meta.ts';
import { createSiftrShared } from '../siftr/shared.ts';
import { parseAssignment, type SysctlAssignment, SysctlError, type Tunables } from '../stack/sysctl.ts';
import { CC_DEFAULT, checkCc } from './cc.ts';
import { SimError } from './error.ts';
import { type ExperimentOptions, type FlowOptions, flagOf } from './options.ts';
import { STDOUT, sameFile } from './output.ts';

export interface FlowPlan {
  readonly cc: string;
  readonly startUs: number;
  /** Infinity when the flow goes on to the end. */
  readonly stopUs: number;
  /** Infinity when it sends as long as it may. */
  readonly bytes: number;
  readonly rttUs: number;
  readonly accessUs: number;
}

/** An experiment in plain numbers. */
export interface Plan {
  readonly seed: number;
  readonly timeUs: number;
  /** The report counts from here on. */
  readonly warmupUs: number;
  readonly mtu: number;
  /** The link behind the bottleneck, where it takes less. */
  readonly path: { readonly mtu: number; readonly icmp: boolean } | null;
  readonly data: PipeConfig;
  readonly ack: PipeConfig;
  /** Rate of the bottleneck, of a trace its mean; bits a second. */
  readonly rate: number;
  /** The largest base round-trip time of any flow, µs, and the bytes that fill the path for so long. */
  readonly rttUs: number;
  readonly bdpBytes: number;
  readonly separateReceivers: boolean;
  readonly flows: readonly FlowPlan[];
  readonly tune: Partial<Tunables>;
  /** Frames of each receiving host besides those of any host. */
  readonly receiverFrames: number;
  /** Knobs of SIFTR that were set, by full name. */
  readonly siftr: ReadonlyMap<string, number | string>;
  readonly siftrLog: string | null;
  readonly pcap: string | null;
  readonly snaplen: number;
}

const MTU_MIN = 576;
/** What any link of the Internet takes (RFC 791). */
const PATH_MTU_MIN = 68;
const MTU_MAX = 3822;
const SECOND = 1e6;
/** Room for a window of the path and its queue, twice, and how much at the most (RFC 7323 section 2.3). */
const BUFFER_MAX = 2 ** 30;
/** IPv4 and TCP headers with timestamps. */
const HEADERS = 52;

type Given = string | number | undefined;

/** Parses one option; what the parsers of units refuse gets the option's name in front. */
function value<T>(key: string, given: Given, fallback: string, parse: (text: string) => T): T {
  const text = given === undefined ? fallback : String(given);
  try {
    return parse(text);
  } catch (err) {
    if (!(err instanceof UnitError)) throw err;
    throw new SimError(`${flagOf(key)} ${err.message.startsWith(text) ? '' : `${text}: `}${err.message}`);
  }
}

function whole(key: string, given: Given, fallback: string, min: number, max: number): number {
  return value(key, given, fallback, (text) => {
    const n = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(n >= min && n <= max)) throw new UnitError(`${text}: allowed is a whole number from ${min} to ${max}`);
    return n;
  });
}

const seconds = (text: string): number => parseTime(text, SECOND);

/** `a,b=1,c` after the name of something: its settings. */
function settings(text: string, what: string, allowed: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const part of text === '' ? [] : text.split(',')) {
    const eq = part.indexOf('=');
    const name = eq < 0 ? part : part.slice(0, eq);
    if (!allowed.includes(name)) throw new UnitError(`${part}: ${what} has ${allowed.join(', ')}`);
    map.set(name, eq < 0 ? '' : part.slice(eq + 1));
  }
  return map;
}

function lossOf(text: string): { loss: number; gilbert: GilbertConfig | null } {
  const m = /^gemodel[:\s]\s*(.*)$/.exec(text.trim());
  if (m === null) return { loss: parseProbability(text), gilbert: null };
  const [p, r, bad, good, more] = m[1]!.split(/[,\s]+/).map(parseProbability);
  if (p === undefined || more !== undefined) throw new UnitError(`${text}: allowed is gemodel:P,R[,1-H[,1-K]]`);
  return { loss: 0, gilbert: { p, r: r ?? 1 - p, lossBad: bad ?? 1, lossGood: good ?? 0 } };
}

function reorderOf(text: string): ReorderConfig | null {
  const [p, ...rest] = text.split(',');
  const set = settings(rest.join(','), 'reordering', ['gap', 'extra']);
  const probability = parseProbability(p!);
  if (probability === 0) return null;
  return {
    probability,
    gap: Number(set.get('gap') ?? 1),
    extraUs: set.has('extra') ? parseTime(set.get('extra')!) : 0,
  };
}

function jitterOf(text: string): { jitterUs: number; jitterReorder: boolean } {
  const [time, ...rest] = text.split(',');
  const set = settings(rest.join(','), 'jitter', ['reorder']);
  return { jitterUs: parseTime(time!), jitterReorder: set.has('reorder') };
}

interface Limit {
  readonly limitPackets: number;
  readonly limitBytes: number;
}

function limitOf(text: string, bdp: number, mtu: number): Limit {
  const q = parseQueue(text);
  // Less than a packet would be no queue at all.
  return { limitPackets: q.packets, limitBytes: q.bdp > 0 ? Math.max(mtu, Math.round(q.bdp * bdp)) : q.bytes };
}

/** Thresholds of RED that are not given: a twelfth and a quarter of the queue, or 5 and 15 packets without a limit. */
function redOf(set: Map<string, string>, limit: Limit): RedConfig {
  const given = [set.get('min'), set.get('max')].map((t) => (t === undefined ? null : parseQueue(t)));
  const bytes =
    given.some((q) => q !== null && q.bytes > 0) || (given.every((q) => q === null) && limit.limitBytes > 0);
  const room = bytes ? limit.limitBytes : limit.limitPackets;
  const number = (q: (typeof given)[number] | undefined, share: number, packets: number): number => {
    if (q !== null && q !== undefined) return bytes ? q.bytes : q.packets;
    return room > 0 ? room / share : packets * (bytes ? 1500 : 1);
  };
  return {
    kind: 'red',
    minTh: number(given[0], 12, 5),
    maxTh: number(given[1], 4, 15),
    wq: Number(set.get('wq') ?? 0.002),
    maxP: parseProbability(set.get('p') ?? '0.1'),
    gentle: true,
    bytes,
    ecn: set.has('ecn'),
    hardDrop: set.has('hard'),
  };
}

function aqmOf(text: string, limit: Limit): RedConfig | CodelConfig | null {
  const [kind, rest = ''] = text.split(/:(.*)/s);
  if (kind === 'none' || kind === 'droptail') return null;
  if (kind === 'red') return redOf(settings(rest, 'red', ['min', 'max', 'wq', 'p', 'ecn', 'hard']), limit);
  if (kind === 'codel') {
    const set = settings(rest, 'codel', ['target', 'interval', 'ecn']);
    const targetUs = parseTime(set.get('target') ?? '5ms');
    const intervalUs = parseTime(set.get('interval') ?? '100ms');
    return { kind: 'codel', targetUs, intervalUs, ecn: set.has('ecn') };
  }
  throw new UnitError(`${text}: allowed are red, codel and none`);
}

function traceOf(path: string): RateTrace {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (err) {
    throw new SimError(`--trace ${path}: ${(err as Error).message}`, 1);
  }
  return value('trace', path, path, () => {
    try {
      return parseTrace(text);
    } catch (err) {
      throw err instanceof UnitError ? new UnitError(`${path}: ${err.message}`) : err;
    }
  });
}

const FLOW_KEYS = ['cc', 'start', 'stop', 'bytes', 'rtt'] as const;

function flowFields(given: string | FlowOptions): FlowOptions {
  if (typeof given !== 'string') return given;
  return value('flow', given, '', () => Object.fromEntries(settings(given.trim(), 'a flow', FLOW_KEYS)));
}

/** A time, or `1s..3s`: one within these, evenly, by the seed. */
function startOf(text: string, random: Random): number {
  const [first, last] = text.split('..');
  const from = seconds(first!);
  if (last === undefined) return from;
  const to = seconds(last);
  if (to < from) throw new UnitError(`${text}: from the earlier to the later`);
  return from + Math.floor(unit(random) * (to - from));
}

interface FlowDefaults {
  readonly cc: string;
  readonly delayUs: number;
  readonly timeUs: number;
  /** Of this flow. */
  readonly random: Random;
}

function planFlow(given: string | FlowOptions, { cc, delayUs, timeUs, random }: FlowDefaults): FlowPlan {
  const f = flowFields(given);
  const field = <T>(key: (typeof FLOW_KEYS)[number], fallback: T, parse: (text: string) => T): T => {
    const v = f[key];
    if (v === undefined) return fallback;
    try {
      return parse(String(v));
    } catch (err) {
      throw err instanceof UnitError ? new SimError(`--flow ${key}=${err.message}`) : err;
    }
  };
  const rttUs = field('rtt', 2 * delayUs, (t) => parseTime(t));
  const startUs = field('start', 0, (t) => startOf(t, random));
  const stopUs = field('stop', Number.POSITIVE_INFINITY, seconds);
  if (startUs >= timeUs) throw new SimError(`--flow start=${f.start}: before the end of --time`);
  if (stopUs <= startUs) throw new SimError(`--flow stop=${f.stop}: after its start`);
  if (rttUs < 2 * delayUs) {
    throw new SimError(`--flow rtt=${f.rtt}: at least twice --delay, ${(2 * delayUs) / 1000}ms`);
  }
  return {
    cc: f.cc === undefined ? cc : checkCc(f.cc, '--flow cc='),
    startUs,
    stopUs,
    bytes: field('bytes', Number.POSITIVE_INFINITY, (t) => {
      const n = parseBytes(t);
      if (n < 1) throw new UnitError(`${t}: at least 1`);
      return n;
    }),
    rttUs,
    accessUs: rttUs / 2 - delayUs,
  };
}

function sysctlOf(text: string): SysctlAssignment {
  try {
    const a = parseAssignment(text, 'boot');
    if (!/^net\.inet\.siftr\.(enabled|logfile|logfile_markers|qlen)$/.test(a.decl.name)) return a;
  } catch (err) {
    if (!(err instanceof SysctlError)) throw err;
    throw new SimError(`--sysctl ${err.message.startsWith(text) ? '' : `${text}: `}${err.message}`);
  }
  if (/logfile_markers|qlen/.test(text)) {
    throw new SimError(`--sysctl ${text}: has no effect in a simulation, whose log is one file and never waits`);
  }
  throw new SimError(`--sysctl ${text}: use --siftr-log FILE in a simulation`);
}

/** Every congestion control that the options of an experiment name. */
export function ccsOf(o: ExperimentOptions): string[] {
  const flows = (o.flow ?? []).map((f) => flowFields(f).cc);
  return [o.cc, ...flows].filter((cc) => cc !== undefined);
}

/** Without `--delay`, flows that all name their round-trip time have the shortest as the path's. */
function delayOf(o: ExperimentOptions): number {
  const rtts = (o.flow ?? []).map((f) => flowFields(f).rtt);
  if (o.delay === undefined && rtts.length > 0 && rtts.every((r) => r !== undefined)) {
    return Math.min(...rtts.map((r) => value('flow', r, '', (t) => parseTime(t)))) / 2;
  }
  return value('delay', o.delay, '20ms', (t) => parseTime(t));
}

/**
 * Checks the options of an experiment.
 * @throws SimError, one line with the option
 */
export function planExperiment(o: ExperimentOptions): Plan {
  const cc = checkCc(o.cc ?? CC_DEFAULT);
  const timeUs = value('time', o.time, '10s', seconds);
  if (!(timeUs > 0 && timeUs <= 1e12)) throw new SimError(`--time ${o.time}: above 0, at most 1e6s`);
  const warmupUs = value('warmup', o.warmup, '0', seconds);
  if (warmupUs >= timeUs) throw new SimError(`--warmup ${o.warmup}: before the end of --time`);
  const mtu = whole('mtu', o.mtu, '1500', MTU_MIN, MTU_MAX);
  const path = pathOf(o, mtu);
  const delayUs = delayOf(o);
  const given = o.flow === undefined || o.flow.length === 0 ? [''] : o.flow;
  if (given.length > MAX_SENDERS)
    throw new SimError(`--flow: ${given.length} flows, at most ${MAX_SENDERS} are allowed`);
  const seed = whole('seed', o.seed, '1', 0, Number.MAX_SAFE_INTEGER);
  const flows = given.map((f, i) => planFlow(f, { cc, delayUs, timeUs, random: new SimRandom(seed, `flow/${i + 1}`) }));

  const trace = o.trace === undefined ? null : traceOf(o.trace);
  const bw = value('bw', o.bw, '100Mbit', parseRate);
  const bwAck = o.bwAck === undefined ? bw : value('bwAck', o.bwAck, '', parseRate);
  if (!(bw > 0)) throw new SimError(`--bw ${o.bw}: above 0`);
  const rate = trace === null ? bw : trace.rate;
  const rttUs = Math.max(...flows.map((f) => f.rttUs));
  const bdpBytes = Math.round((rate * rttUs) / 8e6);
  const limit = value('queue', o.queue, '1bdp', (t) => limitOf(t, bdpBytes, mtu));
  const mark = value('ecnThreshold', o.ecnThreshold, '0', (t) => limitOf(t, bdpBytes, 1));
  const data: PipeConfig = {
    ...IDEAL_PIPE,
    rate: bw,
    trace,
    delayUs,
    ...value('jitter', o.jitter, '0', jitterOf),
    ...limit,
    aqm: value('aqm', o.aqm, 'none', (t) => aqmOf(t, limit)),
    ecnPackets: mark.limitPackets,
    ecnBytes: mark.limitBytes,
    ...value('loss', o.loss, '0', lossOf),
    drop: o.drop === undefined ? [] : value('drop', o.drop, '', parsePacketNumbers),
    reorder: value('reorder', o.reorder, '0', reorderOf),
    duplicate: value('duplicate', o.duplicate, '0', parseProbability),
    corrupt: value('corrupt', o.corrupt, '0', parseProbability),
  };
  const ack: PipeConfig = {
    ...IDEAL_PIPE,
    rate: bwAck,
    delayUs,
    ...value('lossAck', o.lossAck, '0', lossOf),
    drop: o.dropAck === undefined ? [] : value('dropAck', o.dropAck, '', parsePacketNumbers),
  };
  try {
    checkPipeConfig(data);
    checkPipeConfig(ack);
  } catch (err) {
    throw new SimError((err as Error).message);
  }

  if (o.receivers !== undefined && o.receivers !== 'one' && o.receivers !== 'each') {
    throw new SimError(`--receivers ${o.receivers}: allowed are one and each`);
  }
  const { tune, receiverFrames } = room(bdpBytes, limit, mtu);
  const siftr = new Map<string, number | string>();
  for (const { decl, value: v } of (o.sysctl ?? []).map(sysctlOf)) {
    if (decl.name.startsWith(PREFIX)) siftr.set(decl.name, v);
    else if (decl.type !== 'string') tune[decl.field] = Number(v);
  }
  try {
    writeKnobs(createSiftrShared(), siftr);
  } catch (err) {
    if (!(err instanceof SiftrError)) throw err;
    throw new SimError(`--sysctl ${err.message}`);
  }
  checkOutputs(o);
  return {
    seed,
    timeUs,
    warmupUs,
    mtu,
    path,
    data,
    ack,
    rate,
    rttUs,
    bdpBytes,
    separateReceivers: o.receivers === 'each',
    flows,
    tune,
    receiverFrames,
    siftr,
    siftrLog: o.siftrLog ?? null,
    pcap: o.pcap ?? null,
    snaplen: whole('snaplen', o.snaplen, '128', 0, 65535),
  };
}

/** Files are written from their beginning: none may be another one's, or one that is read. */
function checkOutputs(o: ExperimentOptions): void {
  const { siftrLog, pcap } = o;
  if (siftrLog === STDOUT && pcap === STDOUT) {
    throw new SimError('--pcap -: standard output takes --siftr-log already');
  }
  if (siftrLog !== undefined && pcap !== undefined && [siftrLog, metaPath(siftrLog)].some((f) => sameFile(f, pcap))) {
    throw new SimError(`--pcap ${pcap}: --siftr-log is written there; give each a file of its own`);
  }
  const ccFiles = ccsOf(o).filter((cc) => /[/\\]|\.[cm]?[jt]s$/.test(cc));
  const read = [...(o.trace === undefined ? [] : [['--trace', o.trace]]), ...ccFiles.map((cc) => ['--cc', cc])];
  for (const [option, path] of [
    ['--siftr-log', siftrLog],
    ['--pcap', pcap],
  ]) {
    const of = read.find(([, file]) => path !== undefined && path !== STDOUT && sameFile(path, file!));
    if (of !== undefined) throw new SimError(`${option} ${path}: ${of[0]} is read from there; give another file`);
  }
}

/** The MTU of the link behind the bottleneck, and what becomes of messages about it. */
function pathOf(o: ExperimentOptions, mtu: number): Plan['path'] {
  const icmp = o.icmp ?? 'on';
  if (icmp !== 'on' && icmp !== 'off') throw new SimError(`--icmp ${icmp}: allowed are on and off`);
  if (o.pathMtu === undefined) {
    if (o.icmp !== undefined) throw new SimError(`--icmp ${icmp}: only with --path-mtu`);
    return null;
  }
  return { mtu: whole('pathMtu', o.pathMtu, '', PATH_MTU_MIN, mtu), icmp: icmp === 'on' };
}

/**
 * What the hosts have to hold so that they do not hold a flow back: limits of the autotuned socket buffers of twice what the path and its queue take, at
 * least the stack's own; as many segments out of order; and frames for them, of which reassembly takes a quarter at the most.
 */
function room(bdpBytes: number, limit: Limit, mtu: number): { tune: Record<string, number>; receiverFrames: number } {
  const queue = Math.max(limit.limitBytes, limit.limitPackets * mtu) || 8 * bdpBytes;
  let bytes = 2 ** 21;
  while (bytes < 2 * (bdpBytes + queue) && bytes < BUFFER_MAX) bytes *= 2;
  const segments = Math.ceil((2 * (bdpBytes + queue)) / (mtu - HEADERS));
  const held = Math.max(512, Math.min(segments, 65535));
  const tune = { tcp_sendbuf_max: bytes, tcp_recvbuf_max: bytes, ipc_maxsockbuf: bytes, tcp_reass_maxqueuelen: held };
  return { tune, receiverFrames: 4 * held };
}
