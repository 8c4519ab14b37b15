import type { Result } from '../lab/process.ts';

/** What one direction of an `iperf3 -J` run came to. */
export interface Direction {
  readonly sent: number;
  readonly received: number;
  readonly seconds: number;
  readonly bitsPerSecond: number;
}

/** A finished `iperf3 -J` run, as the client printed it. */
export interface Iperf3Run {
  /** iperf3's own message, when it failed. */
  readonly error: string | undefined;
  /** What the client's main direction moved: the client sends, or with -R receives. */
  readonly main: Direction;
  /** The other direction of --bidir. */
  readonly reverse: Direction | undefined;
  /** Bytes of each stream, sender's and receiver's count. */
  readonly streams: readonly { sent: number; received: number; clientSends: boolean }[];
  /** Segments that the main sender sent again. */
  readonly retransmits: number;
}

interface Sum {
  bytes: number;
  seconds: number;
  bits_per_second: number;
  retransmits?: number;
}

interface End {
  streams: { sender: { bytes: number; sender: boolean }; receiver: { bytes: number } }[];
  sum_sent: Sum;
  sum_received: Sum;
  sum_sent_bidir_reverse?: Sum;
  sum_received_bidir_reverse?: Sum;
}

function direction(sent: Sum, received: Sum): Direction {
  return {
    sent: sent.bytes,
    received: received.bytes,
    seconds: received.seconds,
    bitsPerSecond: received.bits_per_second,
  };
}

/** Reads what `iperf3 -J` printed. */
export function readIperf3(result: Result): Iperf3Run {
  const j = JSON.parse(result.stdout) as { error?: string; end: Partial<End> };
  const none = { bytes: 0, seconds: 0, bits_per_second: 0 };
  const end = j.end;
  return {
    error: j.error,
    main: direction(end.sum_sent ?? none, end.sum_received ?? none),
    reverse:
      end.sum_sent_bidir_reverse === undefined
        ? undefined
        : direction(end.sum_sent_bidir_reverse, end.sum_received_bidir_reverse ?? none),
    streams: (end.streams ?? []).map((s) => ({
      sent: s.sender.bytes,
      received: s.receiver.bytes,
      clientSends: s.sender.sender,
    })),
    retransmits: end.sum_sent?.retransmits ?? 0,
  };
}

/** Runs of the client that a server must stand, with what they should come to. */
export const RUNS: readonly { args: string; streams: number; bytes?: number; both?: boolean }[] = [
  { args: '-t 1', streams: 1 },
  { args: '-t 1 -P 4', streams: 4 },
  { args: '-n 20M -P 3', streams: 3, bytes: 20 << 20 },
  { args: '-k 40 -l 100K', streams: 1, bytes: 40 * 100 * 1024 },
  { args: '-t 1 -R', streams: 1 },
  { args: '-t 1 -R -P 4', streams: 4 },
  { args: '-n 10M -R', streams: 1, bytes: 10 << 20 },
  { args: '-t 1 --bidir', streams: 2, both: true },
  { args: '-t 1 --bidir -P 3', streams: 6, both: true },
  { args: '-t 1 -O 1', streams: 1 },
  { args: '-t 1 -R -b 8M', streams: 1 },
  { args: '-t 1 -w 64K -N -M 1000 -l 1000', streams: 1 },
  { args: '-t 1 -C cubic -T title --get-server-output', streams: 1 },
];

/** What is wrong with a finished run of `RUNS`; empty when it is right. */
export function faults(run: Iperf3Run, spec: (typeof RUNS)[number]): string[] {
  const bad: string[] = [];
  if (run.error !== undefined) return [run.error];
  if (run.streams.length !== spec.streams) bad.push(`${run.streams.length} streams`);
  if ((run.reverse !== undefined) !== (spec.both === true)) bad.push('directions');
  const omits = spec.args.includes('-O');
  for (const [i, s] of run.streams.entries()) {
    if (s.received === 0) bad.push(`stream ${i} received nothing`);
    // What the client sends, the server counts to the last byte. What the server sends, the client stops counting at its own end.
    if (s.clientSends ? s.sent !== s.received && !omits : s.received > s.sent) {
      bad.push(`stream ${i}: ${s.sent} sent, ${s.received} received`);
    }
  }
  if (spec.bytes !== undefined && run.main.received < spec.bytes)
    bad.push(`${run.main.received} of ${spec.bytes} bytes`);
  return bad;
}
