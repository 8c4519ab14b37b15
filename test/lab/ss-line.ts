/**
 * A strict reader of what `ss -tinmoeHO` of iproute2 prints: every word of a line has to be one that it prints, once, in its order. Written from
 * the manual page ss(8) and from lines of Linux, knowing nothing of src/.
 */

/** Words after the addresses, in the order in which ss prints them, each with the form of its value. */
const N = '\\d+';
const G = '\\d+(?:\\.\\d+)?(?:e[+-]\\d\\d)?';
const BPS = '(?:\\d+|\\d+(?:\\.\\d+)?(?:e[+-]\\d\\d)?[kMGT]?)bps';
const MS = `${N}ms`;
const SHARE = `${N}ms\\(\\d+\\.\\d%\\)`;
const key = (name: string, value: string): [string, RegExp] => [name, new RegExp(`^ ${name}:(${value})(?= |$)`)];
const rate = (name: string): [string, RegExp] => [name, new RegExp(`^ ${name} (${BPS})(?= |$)`)];
const flag = (name: string): [string, RegExp] => [name, new RegExp(`^ (${name})(?= |$)`)];
const WORDS: readonly [string, RegExp][] = [
  key('timer', `\\((?:on|keepalive|timewait|persist),[\\dminsec.]*,${N}\\)`),
  key('uid', N),
  key('ino', N),
  key('sk', '[0-9a-f]+'),
  key('cgroup', '\\S+'),
  ['shut', /^ ([<-]-[->])(?= |$)/],
  key('skmem', `\\(r${N},rb${N},t${N},tb${N},f${N},w${N},o${N},bl${N},d${N}\\)`),
  flag('ts'),
  flag('sack'),
  flag('ecn'),
  flag('ecnseen'),
  flag('fastopen'),
  ['cc', /^ ([a-z][a-z0-9_-]*)(?= |$)/],
  key('wscale', `${N},${N}`),
  key('rto', G),
  key('backoff', N),
  key('rtt', `${G}/${G}`),
  key('ato', G),
  ...['mss', 'pmtu', 'rcvmss', 'advmss', 'cwnd', 'ssthresh'].map((k) => key(k, N)),
  ...['bytes_sent', 'bytes_retrans', 'bytes_acked', 'bytes_received'].map((k) => key(k, N)),
  ...['segs_out', 'segs_in', 'data_segs_out', 'data_segs_in'].map((k) => key(k, N)),
  key('dctcp', `\\(ce_state:${N},alpha:${N},ab_ecn:${N},ab_tot:${N}\\)`),
  key('bbr', `\\(bw:${BPS},mrtt:${G}(?:,pacing_gain:${G})?(?:,cwnd_gain:${G})?\\)`),
  rate('send'),
  ...['lastsnd', 'lastrcv', 'lastack'].map((k) => key(k, N)),
  rate('pacing_rate'),
  rate('delivery_rate'),
  key('delivered', N),
  key('delivered_ce', N),
  flag('app_limited'),
  key('busy', MS),
  key('rwnd_limited', SHARE),
  key('sndbuf_limited', SHARE),
  key('unacked', N),
  key('retrans', `${N}/${N}`),
  ...['lost', 'sacked', 'dsack_dups', 'reordering', 'reord_seen'].map((k) => key(k, N)),
  key('rcv_rtt', G),
  ...['rcv_space', 'rcv_ssthresh', 'notsent'].map((k) => key(k, N)),
  key('minrtt', G),
  key('rcv_ooopack', N),
  key('snd_wnd', N),
  // Since iproute2 6.2.
  key('rcv_wnd', N),
];

const STATE = 'ESTAB|SYN-SENT|SYN-RECV|FIN-WAIT-1|FIN-WAIT-2|TIME-WAIT|UNCONN|CLOSE-WAIT|LAST-ACK|LISTEN|CLOSING';
const HEAD = new RegExp(`^(${STATE}) +(\\d+) +(\\d+) +([\\d.]+):(\\d+|\\*) +([\\d.]+):(\\d+|\\*)`);

export interface SsLine {
  readonly state: string;
  readonly recvQ: number;
  readonly sendQ: number;
  readonly laddr: string;
  readonly lport: string;
  readonly faddr: string;
  readonly fport: string;
  /** Values by word; flags have themselves. */
  readonly words: ReadonlyMap<string, string>;
}

/** Reads one line. @throws Error that names the first word which ss would not print there */
export function parseSsLine(line: string): SsLine {
  const head = HEAD.exec(line);
  if (head === null) throw new Error(`no line of ss: ${line}`);
  let rest = line
    .slice(head[0].length)
    .replace(/ +$/, '')
    .replace(/^ +(?=\S)/, ' ');
  const words = new Map<string, string>();
  for (const [name, re] of WORDS) {
    const m = re.exec(rest);
    if (m === null) continue;
    words.set(name, m[1]!);
    rest = rest.slice(m[0].length);
  }
  if (rest !== '') throw new Error(`not a word of ss, or not in its place: ${rest}`);
  const [, state = '', recvQ, sendQ, laddr = '', lport = '', faddr = '', fport = ''] = head;
  return { state, recvQ: Number(recvQ), sendQ: Number(sendQ), laddr, lport, faddr, fport, words };
}

/** All lines of `ss -H…O`. */
export function parseSs(text: string): SsLine[] {
  return text
    .split('\n')
    .filter((l) => l.trim() !== '')
    .map(parseSsLine);
}

/** The line whose word `name` must be a number. */
export function num(l: SsLine, name: string): number {
  const v = l.words.get(name);
  if (v === undefined) throw new Error(`no ${name} in ${[...l.words.keys()].join(' ')}`);
  return Number(v);
}
