/** One bad network with what two hosts do over it, and how fast-check draws one. */
import fc from 'fast-check';
import { type CodelConfig, IDEAL_PIPE, type PipeConfig, type RedConfig } from '../../src/impair/config.ts';

/** Whom an endpoint's end waits for, and how it comes about. */
export const ENDINGS = ['shutdown', 'late', 'close', 'abort'] as const;

export interface Side {
  /** Bytes to send. */
  readonly bytes: number;
  /** Bytes given to the socket at once, and µs until the next are; 0 for as fast as it takes them. */
  readonly chunk: number;
  readonly gapUs: number;
  /** Bytes that the reader takes before it rests, and µs of rest; 0 for a reader that never rests. */
  readonly bite: number;
  readonly restUs: number;
  /**
   * shutdown: FIN behind the data. late: FIN behind the data, which begins after the peer's FIN only. close: as soon as all is queued, whatever
   * still comes. abort: a RST in the middle.
   */
  readonly ending: (typeof ENDINGS)[number];
  readonly abortUs: number;
  readonly cc: string;
  /** Buffers of the sockets, bytes, and whether they may grow. */
  readonly sndBuf: number;
  readonly rcvBuf: number;
  readonly autoBuf: boolean;
  /** Frames of the host. */
  readonly frames: number;
  readonly noDelay: boolean;
  /** Half a second after it was connected: another module, and other buffers. Empty and 0 for none. */
  readonly laterCc: string;
  readonly laterBuf: number;
  /** Values of net.inet.tcp.* by field of Tunables. */
  readonly tune: Readonly<Record<string, number>>;
}

export interface NetworkCase {
  readonly seed: number;
  /** Of the client, and of the server. */
  readonly mtu: number;
  readonly mtuServer: number;
  /** Connections at the same time; with `both` each is opened from both sides at once. */
  readonly connections: number;
  readonly both: boolean;
  readonly client: Side;
  readonly server: Side;
  /** The server takes connections from then on, µs. */
  readonly acceptUs: number;
  /** Nothing gets through from then on, µs, and for how long. */
  readonly outageUs: number;
  readonly outageForUs: number;
  /** Larger packets vanish in the middle (RFC 2923 section 2.1); 0 for none. Both hosts look for black holes then. */
  readonly holeMtu: number;
  readonly there: PipeConfig;
  readonly back: PipeConfig;
}

const CCS = ['newreno', 'cubic', 'dctcp', 'bbr', 'bbr1'];
const flag = fc.constantFrom(1, 0);

const red: RedConfig = {
  kind: 'red',
  minTh: 3,
  maxTh: 9,
  wq: 0.02,
  maxP: 0.2,
  gentle: true,
  bytes: false,
  ecn: true,
  hardDrop: false,
};
const codel: CodelConfig = { kind: 'codel', targetUs: 5000, intervalUs: 50_000, ecn: true };

const pipe: fc.Arbitrary<PipeConfig> = fc
  .record({
    rate: fc.constantFrom(0, 20e6, 200e6, 2e6, 300e3),
    delayUs: fc.constantFrom(1000, 50, 20_000, 150_000),
    jitterUs: fc.constantFrom(0, 0, 3000, 40_000),
    jitterReorder: fc.boolean(),
    limitPackets: fc.constantFrom(0, 50, 10, 3),
    aqm: fc.constantFrom(null, null, red, codel),
    ecnPackets: fc.constantFrom(0, 0, 5),
    loss: fc.constantFrom(0, 0, 0.005, 0.03, 0.1),
    gilbert: fc.constantFrom(null, null, { p: 0.01, r: 0.3, lossBad: 0.8, lossGood: 0 }),
    reorder: fc.constantFrom(
      null,
      null,
      { probability: 0.05, gap: 1, extraUs: 0 },
      { probability: 0.1, gap: 1, extraUs: 7000 },
    ),
    duplicate: fc.constantFrom(0, 0, 0.03, 0.2),
    corrupt: fc.constantFrom(0, 0, 0.02),
  })
  .map((c) => ({ ...IDEAL_PIPE, ...c }));

const side: fc.Arbitrary<Side> = fc.record({
  bytes: fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 150_000 })),
  chunk: fc.constantFrom(65_536, 1, 100, 2000),
  gapUs: fc.constantFrom(0, 0, 300, 30_000),
  bite: fc.constantFrom(0, 0, 1, 700, 9000),
  restUs: fc.constantFrom(100, 20_000, 700_000, 7_000_000),
  ending: fc.constantFrom(...(['shutdown', 'shutdown', 'shutdown', 'late', 'close', 'abort'] as const)),
  abortUs: fc.integer({ min: 1, max: 2_000_000 }),
  cc: fc.constantFrom(...CCS),
  sndBuf: fc.constantFrom(32_768, 2048, 5000, 300_000),
  rcvBuf: fc.constantFrom(65_536, 2048, 3000, 10_000, 300_000),
  autoBuf: fc.boolean(),
  frames: fc.constantFrom(2048, 2048, 300, 64),
  noDelay: fc.boolean(),
  laterCc: fc.constantFrom('', '', ...CCS),
  laterBuf: fc.constantFrom(0, 0, 2048, 100_000),
  tune: fc.record({
    tcp_sack_enable: flag,
    tcp_rfc1323: flag,
    tcp_ecn_enable: fc.constantFrom(0, 1, 2),
    tcp_rack: flag,
    tcp_tlp: flag,
    tcp_frto: flag,
    tcp_rfc3042: flag,
    tcp_pacing: flag,
    tcp_delayed_ack: flag,
    tcp_idle_reduce: flag,
    tcp_newcwv: flag,
    tcp_initcwnd_segments: fc.constantFrom(10, 1, 3),
    tcp_rexmit_min: fc.constantFrom(30, 200, 1000),
    tcp_reass_maxqueuelen: fc.constantFrom(100, 1, 4),
    tcp_syncookies: flag,
    tcp_syncookies_only: fc.constantFrom(0, 0, 0, 1),
    tcp_hc_enable: flag,
    tcp_pmtud_blackhole_detection: flag,
  }),
});

/** `s` looks for black holes. */
function finder(s: Side): Side {
  return { ...s, tune: { ...s.tune, tcp_pmtud_blackhole_detection: 1 } };
}

export const networkCase: fc.Arbitrary<NetworkCase> = fc
  .record({
    seed: fc.nat(1 << 30),
    mtu: fc.constantFrom(1500, 1500, 296, 576, 3822),
    mtuServer: fc.constantFrom(1500, 1500, 296, 576, 3822),
    connections: fc.constantFrom(1, 1, 2, 5),
    both: fc.constantFrom(false, false, false, true),
    client: side,
    server: side,
    acceptUs: fc.constantFrom(0, 0, 0, 2_000_000),
    outageUs: fc.nat(3_000_000),
    // A handshake survives the longest: its SYN,ACK is sent again for 7 s.
    outageForUs: fc.constantFrom(0, 0, 300_000, 2_000_000, 6_000_000),
    holeMtu: fc.constantFrom(0, 0, 0, 1300, 600),
    there: pipe,
    back: pipe,
  })
  // Two who wait for each other's FIN wait for ever, which says nothing.
  .map((c) =>
    c.client.ending === 'late' && c.server.ending === 'late'
      ? { ...c, client: { ...c.client, ending: 'shutdown' as const } }
      : c,
  )
  .map((c) => (c.holeMtu > 0 ? { ...c, client: finder(c.client), server: finder(c.server) } : c))
  .map((c) => ({ ...c, client: bounded(c.client, c.server.bytes), server: bounded(c.server, c.client.bytes) }));

/**
 * Keeps a case short: at most a few hundred pieces, and minutes of rest.
 * @param incoming bytes that the reader is to take
 */
function bounded(s: Side, incoming: number): Side {
  const chunk = Math.max(s.chunk, Math.ceil(s.bytes / 300));
  const bite = s.bite === 0 ? 0 : Math.max(s.bite, Math.ceil(incoming / 300));
  const rests = bite === 0 ? 0 : incoming / bite;
  return { ...s, chunk, bite, restUs: Math.min(s.restUs, rests > 0 ? Math.ceil(200e6 / rests) : s.restUs) };
}
