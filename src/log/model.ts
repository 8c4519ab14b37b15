/**
 * What a trace of connections says, whoever wrote it: the lines of a SIFTR log, ours or FreeBSD's, and the samples of Linux's `tcp:tcp_probe` trace
 * points and of polls with ss(8), under the same names and in the same units. A value that a source does not tell is null.
 */

/** The connection of a sample. Addresses are texts as the source spells them; ports 0..65535. Local is the host that wrote the log. */
export interface Tuple {
  readonly laddr: string;
  readonly lport: number;
  readonly faddr: string;
  readonly fport: number;
}

/** One sample of a connection's control block. Bytes and microseconds throughout. */
export interface Sample extends Tuple {
  readonly type: 'sample';
  /** Line of the text, uncompressed, from 1. */
  readonly line: number;
  /** µs since the epoch; since the start of the machine in a tcp_probe trace. A fraction is kept where there is one. */
  readonly timeUs: number;
  /** Direction of the packet behind it, seen from the local host; null for a poll. */
  readonly dir: 'i' | 'o' | null;
  /** Slow start threshold; Infinity while none has been set (FreeBSD's 1073725440, Linux's 2147483647 segments). */
  readonly ssthresh: number | null;
  readonly cwnd: number | null;
  /** `t_flags2`, `TF2_*`. */
  readonly flags2: number | null;
  /** Windows, scaled. */
  readonly sndWnd: number | null;
  readonly rcvWnd: number | null;
  /** Window scales, shift counts. */
  readonly sndScale: number | null;
  readonly rcvScale: number | null;
  /** TCPS_*: 0 CLOSED .. 10 TIME_WAIT, as FreeBSD numbers them. */
  readonly state: number | null;
  readonly mss: number | null;
  /** Smoothed round-trip time, µs; 0 without a sample yet. */
  readonly srtt: number | null;
  readonly sack: boolean | null;
  /** `t_flags`, `TF_*`. */
  readonly flags: number | null;
  /** Retransmission timeout, µs. */
  readonly rto: number | null;
  /** Socket buffers: size, and bytes in them. */
  readonly sndHiwat: number | null;
  readonly sndCc: number | null;
  readonly rcvHiwat: number | null;
  readonly rcvCc: number | null;
  readonly inflight: number | null;
  /** Segments in the reassembly queue. */
  readonly segqlen: number | null;
  readonly flowid: number | null;
  readonly flowtype: number | null;
}

/** The line that opens a cycle of a SIFTR log. */
export interface EnableLine {
  readonly type: 'enable';
  readonly line: number;
  /** µs since the epoch. */
  readonly timeUs: number;
  readonly siftrver: string;
  readonly sysname: string;
  readonly sysver: string;
  readonly ipmode: number;
  /** 1.2.x only, else null. */
  readonly hz: number | null;
  readonly tcpRttScale: number | null;
  /** Modes of ours that change the meaning of a value: `hook:tcp`, `inflight:pipe`; empty in any other log. */
  readonly modes: readonly string[];
}

/** The line that ends a cycle of a SIFTR log. Names are those of the line. */
export interface DisableLine {
  readonly type: 'disable';
  readonly line: number;
  readonly timeUs: number;
  /** num_inbound_tcp_pkts, … in the order of the line, without the times and flow_list. */
  readonly counts: Readonly<Record<string, number>>;
  readonly flows: readonly Tuple[];
  /** The log ends within flow_list: there may have been more flows. */
  readonly cut: boolean;
}

/** A line that cannot be read. The lines behind it still are. */
export interface BrokenLine {
  readonly type: 'broken';
  readonly line: number;
  /** What is wrong with it, in words. */
  readonly why: string;
}

export type LogItem = EnableLine | Sample | DisableLine | BrokenLine;

/** What wrote a log. */
export type LogFormat = 'siftr' | 'tcp_probe' | 'ss' | 'tcpstats';

/** A log that is being read. */
export interface LogReader {
  readonly path: string;
  readonly format: LogFormat;
  /** Bytes of the file read so far, compressed as they lie there, and all; NaN where the size is unknown (a pipe). */
  readonly bytesRead: number;
  readonly bytesTotal: number;
  /** Items in the order of the file, in batches so that one costs little. Constant memory, whatever the size. */
  batches(): AsyncGenerator<readonly LogItem[]>;
}
