/** The options of an experiment: what they are called, what they allow, and how they are written on the command line. */

/** One flow. Values as in `ExperimentOptions`; what is absent is taken from there. */
export interface FlowOptions {
  readonly cc?: string;
  /** When it begins, and when its sender stops, counted from the start of the experiment; `start` may be a range, `0s..1s`, in which the seed chooses. */
  readonly start?: string | number;
  readonly stop?: string | number;
  /** Bytes to send; without it the flow sends until it is stopped. */
  readonly bytes?: string | number;
  /** Base round-trip time: at least twice `delay`, the rest is added on the flow's own access link. */
  readonly rtt?: string | number;
}

/**
 * An experiment as it is given: names and values are those of `xsiftr sim`. Strings carry units (`100Mbit`, `20ms`, `1bdp`, `0.1%`); plain numbers are
 * bit/s for rates, milliseconds for delays, packets for queues, probabilities from 0 to 1, bytes for sizes and seconds for `time`, `warmup`, `start` and `stop`.
 */
export interface ExperimentOptions {
  readonly cc?: string;
  readonly bw?: string | number;
  readonly bwAck?: string | number;
  readonly trace?: string;
  readonly delay?: string | number;
  readonly jitter?: string | number;
  readonly queue?: string | number;
  readonly aqm?: string;
  readonly ecnThreshold?: string | number;
  readonly loss?: string | number;
  readonly lossAck?: string | number;
  readonly drop?: string;
  readonly dropAck?: string;
  readonly reorder?: string | number;
  readonly duplicate?: string | number;
  readonly corrupt?: string | number;
  readonly mtu?: string | number;
  readonly pathMtu?: string | number;
  readonly icmp?: string;
  readonly time?: string | number;
  readonly warmup?: string | number;
  readonly seed?: string | number;
  readonly receivers?: string;
  /** `cc=cubic,start=0s,rtt=40ms` or its fields; one flow without any. */
  readonly flow?: readonly (string | FlowOptions)[];
  /** `name=value`. */
  readonly sysctl?: readonly string[];
  readonly siftrLog?: string;
  readonly pcap?: string;
  readonly snaplen?: string | number;
}

export interface OptionMeta {
  readonly key: keyof ExperimentOptions;
  /** As commander wants it; the long name is `key` with dashes. */
  readonly flags: string;
  readonly help: string;
  readonly group: 'Flows' | 'Path' | 'Impairments' | 'Run' | 'Output';
  readonly repeat?: boolean;
  /** Where the results go, not what they are: left out of the command that replays an experiment, and of sweeps. */
  readonly output?: boolean;
}

/** Every option, in the order of the help. */
export const SIM_OPTIONS: readonly OptionMeta[] = [
  {
    key: 'cc',
    flags: '--cc <NAME>',
    help: 'congestion control of all flows that name none: newreno, cubic, dctcp, bbr, bbr1, ./mine.ts (default cubic)',
    group: 'Flows',
  },
  {
    key: 'flow',
    flags: '--flow <SPEC>',
    help: 'a flow, repeatable: cc=NAME,start=0s,stop=20s,bytes=10MB,rtt=40ms, each optional; start=0s..1s is a random time (default: one flow)',
    group: 'Flows',
    repeat: true,
  },
  {
    key: 'receivers',
    flags: '--receivers <one|each>',
    help: 'one receiving host for all flows, or one for each (default one)',
    group: 'Flows',
  },
  {
    key: 'sysctl',
    flags: '--sysctl <NAME=VALUE>',
    help: 'set a sysctl in every stack, repeatable; xsiftr sysctl -ad lists and describes them',
    group: 'Flows',
    repeat: true,
  },
  { key: 'bw', flags: '--bw <RATE>', help: 'rate of the bottleneck (default 100Mbit)', group: 'Path' },
  { key: 'bwAck', flags: '--bw-ack <RATE>', help: 'rate of the way back (default: that of --bw)', group: 'Path' },
  {
    key: 'trace',
    flags: '--trace <FILE>',
    help: "rate of the bottleneck over time, in Mahimahi's format; replaces --bw towards the receivers",
    group: 'Path',
  },
  { key: 'delay', flags: '--delay <TIME>', help: 'one way, in each direction (default 20ms)', group: 'Path' },
  {
    key: 'queue',
    flags: '--queue <LENGTH>',
    help: 'room in front of the bottleneck: 100 or 100pkt, 64KB, 1bdp of the base RTT, 0 for no limit (default 1bdp)',
    group: 'Path',
  },
  {
    key: 'aqm',
    flags: '--aqm <SPEC>',
    help: 'codel[:target=5ms,interval=100ms,ecn] or red[:min=5,max=15,wq=0.002,p=0.1,ecn,hard]; else drop-tail',
    group: 'Path',
  },
  {
    key: 'ecnThreshold',
    flags: '--ecn-threshold <LENGTH>',
    help: 'mark ECN-capable packets that find more than this waiting: 20, 30KB, 0.17bdp',
    group: 'Path',
  },
  { key: 'mtu', flags: '--mtu <BYTES>', help: '576 to 3822 (default 1500)', group: 'Path' },
  {
    key: 'pathMtu',
    flags: '--path-mtu <BYTES>',
    help: 'what the link behind the bottleneck takes: larger packets are dropped there, and their sender is told (default: that of --mtu)',
    group: 'Path',
  },
  {
    key: 'icmp',
    flags: '--icmp <on|off>',
    help: 'off: it is not told, a black hole (default on)',
    group: 'Path',
  },
  {
    key: 'loss',
    flags: '--loss <P>',
    help: 'of data packets: 0.1%, 0.001, or gemodel:P,R[,1-H[,1-K]] as tc-netem has it',
    group: 'Impairments',
  },
  { key: 'lossAck', flags: '--loss-ack <P>', help: 'the same on the way back', group: 'Impairments' },
  {
    key: 'drop',
    flags: '--drop <N,N,…>',
    help: 'lose these packets of the data path, 1 is the first SYN: 5,9,20-22',
    group: 'Impairments',
  },
  { key: 'dropAck', flags: '--drop-ack <N,N,…>', help: 'the same on the way back', group: 'Impairments' },
  {
    key: 'jitter',
    flags: '--jitter <TIME>',
    help: 'delay varies evenly by ± this; 5ms,reorder lets packets overtake',
    group: 'Impairments',
  },
  {
    key: 'reorder',
    flags: '--reorder <P>',
    help: 'share of packets that skip the delay: 1%, with ,gap=N only each Nth may; with ,extra=TIME they come later instead',
    group: 'Impairments',
  },
  { key: 'duplicate', flags: '--duplicate <P>', help: 'share of packets that come twice', group: 'Impairments' },
  { key: 'corrupt', flags: '--corrupt <P>', help: 'share of packets with a flipped bit', group: 'Impairments' },
  { key: 'time', flags: '--time <TIME>', help: 'virtual time to run (default 10s)', group: 'Run' },
  {
    key: 'warmup',
    flags: '--warmup <TIME>',
    help: 'the report counts from here on, to leave out how it began (default 0s)',
    group: 'Run',
  },
  {
    key: 'seed',
    flags: '--seed <N>',
    help: 'of all randomness: the same seed, the same bytes (default 1)',
    group: 'Run',
  },
  {
    key: 'siftrLog',
    flags: '--siftr-log <FILE>',
    help: 'SIFTR 1.3.0 log of the sending hosts; overwritten; - is standard output, the report goes to standard error then',
    group: 'Output',
    output: true,
  },
  {
    key: 'pcap',
    flags: '--pcap <FILE>',
    help: 'pcapng of both ends of the bottleneck, interfaces left and right; overwritten; - as above',
    group: 'Output',
    output: true,
  },
  {
    key: 'snaplen',
    flags: '--snaplen <BYTES>',
    help: 'bytes of each packet in --pcap (default 128; 0 for all)',
    group: 'Output',
    output: true,
  },
];

/** `lossAck` as the command line has it, `--loss-ack`. */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
}

/** The key of a name with or without dashes, `loss-ack` or `lossAck`; null for none. */
export function keyOf(name: string): keyof ExperimentOptions | null {
  const key = name.replace(/^--/, '').replace(/-([a-z])/g, (_, c: string) => c.toUpperCase());
  return SIM_OPTIONS.find((o) => o.key === key)?.key ?? null;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A flow as the command line has it, `cc=cubic,start=1s`. Numbers keep their meaning: `start=1` is a second. */
export function flowSpec(f: string | FlowOptions): string {
  if (typeof f === 'string') return f;
  return Object.entries(f)
    .filter(([, v]) => v !== undefined)
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
}

/** The command that runs an experiment again, without the options for its output. */
export function commandOf(options: ExperimentOptions): string {
  const words = ['xsiftr', 'sim'];
  for (const { key, output } of SIM_OPTIONS) {
    const given = options[key];
    if (output === true || given === undefined) continue;
    const list = Array.isArray(given) ? (given as readonly (string | FlowOptions)[]) : [given as string | number];
    for (const v of list) words.push(flagOf(key), quoted(typeof v === 'object' ? flowSpec(v) : String(v)));
  }
  return words.join(' ');
}
