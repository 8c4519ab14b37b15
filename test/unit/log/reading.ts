import { Readable } from 'node:stream';
import type { BrokenLine, LogItem, LogReader, Sample } from '../../../src/log/model.ts';
import { type LogOptions, openLog } from '../../../src/log/open.ts';
import { LineScanner } from '../../../src/log/read/lines.ts';
import { SiftrLines } from '../../../src/log/read/siftr-lines.ts';

/** Enable line of siftr(4)'s example. */
export const MAN_ENABLE =
  'enable_time_secs=1685191807\tenable_time_usecs=160752\tsiftrver=1.3.0\tsysname=FreeBSD\tsysver=1400089\tipmode=4\n';

/** A disable line of 1.3.0 with these counts in and out, skipped in and out, and list. */
export function disableLine(
  inbound: number,
  outbound: number,
  skippedIn: number,
  skippedOut: number,
  list: string,
): string {
  return (
    'disable_time_secs=1685191816\tdisable_time_usecs=629397' +
    `\tnum_inbound_tcp_pkts=${inbound}\tnum_outbound_tcp_pkts=${outbound}\ttotal_tcp_pkts=${inbound + outbound}` +
    '\tnum_inbound_skipped_pkts_malloc=0\tnum_outbound_skipped_pkts_malloc=0' +
    `\tnum_inbound_skipped_pkts_tcpcb=${skippedIn}\tnum_outbound_skipped_pkts_tcpcb=${skippedOut}` +
    '\tnum_inbound_skipped_pkts_inpcb=0\tnum_outbound_skipped_pkts_inpcb=0' +
    `\ttotal_skipped_tcp_pkts=${skippedIn + skippedOut}\tflow_list=${list}\n`
  );
}

/** Every item of a reader. */
export async function items(reader: LogReader): Promise<LogItem[]> {
  const all: LogItem[] = [];
  for await (const batch of reader.batches()) all.push(...batch);
  return all;
}

/** What is read of a text or of bytes, handed over in pieces of `piece` bytes. */
export async function read(text: string | Buffer, options: LogOptions = {}, piece = 1 << 20): Promise<LogItem[]> {
  const bytes = Buffer.from(text);
  const pieces: Buffer[] = [];
  for (let i = 0; i < bytes.length; i += piece) pieces.push(bytes.subarray(i, i + piece));
  return items(await openLog(Readable.from(pieces), options));
}

/** What the lines of a SIFTR log give, at once. */
export function siftrItems(text: string | Buffer): LogItem[] {
  const out: LogItem[] = [];
  const scanner = new LineScanner(new SiftrLines());
  scanner.feed(Buffer.from(text), out);
  scanner.end(out);
  return out;
}

export function samplesOf(all: readonly LogItem[]): Sample[] {
  return all.filter((item): item is Sample => item.type === 'sample');
}

export function brokenOf(all: readonly LogItem[]): BrokenLine[] {
  return all.filter((item): item is BrokenLine => item.type === 'broken');
}
