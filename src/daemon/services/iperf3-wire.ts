/**
 * The control protocol of iperf3 (facts from esnet/iperf src/iperf.h, iperf_api.h and iperf_server_api.c): after a cookie of 37
 * bytes the control connection carries single state bytes and, after some of them, JSON texts with a length in front.
 */

/** Bytes of the cookie that every connection of a test begins with: 36 characters and a NUL. */
export const COOKIE_SIZE = 37;

/** State bytes, signed char in the original. */
export const TEST_START = 1;
export const TEST_RUNNING = 2;
export const TEST_END = 4;
export const PARAM_EXCHANGE = 9;
export const CREATE_STREAMS = 10;
export const SERVER_TERMINATE = 11;
export const CLIENT_TERMINATE = 12;
export const EXCHANGE_RESULTS = 13;
export const DISPLAY_RESULTS = 14;
export const IPERF_DONE = 16;
export const ACCESS_DENIED = -1;
export const SERVER_ERROR = -2;

/** Error numbers that go with SERVER_ERROR (iperf_api.h). */
export const IERECVPARAMS = 114;
export const IESTREAMLISTEN = 202;

/** Streams that a client may ask for (MAX_STREAMS). */
export const MAX_STREAMS = 128;

/** Bytes of a block: what a client uses when it names none, and the most that it may name. */
const DEFAULT_BLOCKSIZE = 128 * 1024;
const MAX_BLOCKSIZE = 1024 * 1024;

/** A longer JSON text than any client sends: 128 streams both ways are near 50 kB. */
const MAX_JSON = 256 * 1024;

/** What the client asks for, as far as this server heeds it. */
export interface TestParameters {
  udp: boolean;
  sctp: boolean;
  /** Streams in each direction (-P). */
  parallel: number;
  /** The server sends (-R). */
  reverse: boolean;
  /** Both send (--bidir). */
  bidirectional: boolean;
  /** Seconds (-t); 0 when the test ends by amount (-n, -k). */
  time: number;
  /** Seconds at the start that are not counted (-O). */
  omit: number;
  /** Bits a second of each stream (-b); 0 unlimited. */
  bandwidth: number;
  /** Bytes of a block (-l). */
  len: number;
  noDelay: boolean;
  /** Congestion control of the streams (-C); empty for the default. */
  congestion: string;
}

function num(value: unknown, max: number): number {
  return typeof value === 'number' && value > 0 && value <= max ? value : 0;
}

/** Parameters from the client's JSON; undefined when it is none or asks for an impossible number of streams. */
export function parseParameters(text: string): TestParameters | undefined {
  let j: Record<string, unknown>;
  try {
    j = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof j !== 'object' || j === null) return undefined;
  const parallel = j['parallel'] ?? 1;
  if (typeof parallel !== 'number' || !Number.isInteger(parallel) || parallel < 1 || parallel > MAX_STREAMS)
    return undefined;
  return {
    udp: j['udp'] === true,
    sctp: j['sctp'] === true,
    parallel,
    reverse: j['reverse'] === true,
    bidirectional: j['bidirectional'] === true,
    time: num(j['time'], 86_400),
    omit: num(j['omit'], 600),
    bandwidth: num(j['bandwidth'], Number.MAX_SAFE_INTEGER),
    len: num(j['len'], MAX_BLOCKSIZE) || DEFAULT_BLOCKSIZE,
    noDelay: j['nodelay'] === true,
    congestion: typeof j['congestion'] === 'string' ? j['congestion'] : '',
  };
}

/** A stream's line in the results. */
export interface StreamResult {
  id: number;
  bytes: number;
  /** Segments; -1 of a receiver. */
  retransmits: number;
  /** Seconds from the stream's start to the last byte that is counted. */
  seconds: number;
}

/** This side's results. */
export interface Results {
  /** Per cent of one processor. */
  cpuTotal: number;
  cpuUser: number;
  cpuSystem: number;
  /** This side sends on some stream, and knows its retransmissions. */
  sends: boolean;
  congestion: string;
  streams: readonly StreamResult[];
}

/** The JSON text of the results, with the keys that versions 3.0 to 3.19 read. */
export function resultsJson(r: Results): string {
  return JSON.stringify({
    cpu_util_total: r.cpuTotal,
    cpu_util_user: r.cpuUser,
    cpu_util_system: r.cpuSystem,
    sender_has_retransmits: r.sends ? 1 : -1,
    congestion_used: r.congestion,
    streams: r.streams.map((s) => ({
      id: s.id,
      bytes: s.bytes,
      retransmits: s.retransmits,
      jitter: 0,
      errors: 0,
      omitted_errors: 0,
      packets: 0,
      omitted_packets: 0,
      start_time: 0,
      end_time: s.seconds,
    })),
  });
}

/** Bytes that the client says each stream moved, by stream id; empty when the text is not what it should be. */
export function parseResults(text: string): Map<number, number> {
  const bytes = new Map<number, number>();
  try {
    const j = JSON.parse(text) as { streams?: { id?: unknown; bytes?: unknown }[] };
    for (const s of j.streams ?? [])
      if (typeof s.id === 'number' && typeof s.bytes === 'number') bytes.set(s.id, s.bytes);
  } catch {
    // the client's figures only tell how long to wait for what is still on its way
  }
  return bytes;
}

/** A JSON text with its length in front (uint32, network order). */
export function frameJson(text: string): Buffer {
  const body = Buffer.from(text);
  const out = Buffer.allocUnsafe(4 + body.length);
  out.writeUInt32BE(body.length, 0);
  body.copy(out, 4);
  return out;
}

/** The bytes of SERVER_ERROR: the state, iperf3's own error number, the errno. */
export function serverError(code: number, errno: number): Buffer {
  const out = Buffer.allocUnsafe(9);
  out.writeInt8(SERVER_ERROR, 0);
  out.writeInt32BE(code, 1);
  out.writeInt32BE(errno, 5);
  return out;
}

/** Takes the control connection's bytes apart. */
export class ControlReader {
  #buf: Buffer = Buffer.alloc(0);

  push(u8: Uint8Array, off: number, len: number): void {
    this.#buf = Buffer.concat([this.#buf, u8.subarray(off, off + len)]);
  }

  /** The next state byte, undefined when there is none yet. */
  state(): number | undefined {
    if (this.#buf.length < 1) return undefined;
    const s = this.#buf.readInt8(0);
    this.#buf = this.#buf.subarray(1);
    return s;
  }

  /** The next JSON text; undefined when it is not complete, null when its length cannot be true. */
  json(): string | undefined | null {
    if (this.#buf.length < 4) return undefined;
    const len = this.#buf.readUInt32BE(0);
    if (len > MAX_JSON) return null;
    if (this.#buf.length < 4 + len) return undefined;
    const text = this.#buf.toString('utf8', 4, 4 + len);
    this.#buf = this.#buf.subarray(4 + len);
    return text;
  }
}
