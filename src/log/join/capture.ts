/** Reads the TCP segments of a capture file: pcapng or classic pcap, streaming. */

import { LogError } from '../error.ts';
import { CompressionError } from '../read/bytes.ts';
import { isPcap, PcapDecoder } from './pcap.ts';
import { isPcapng, PcapngDecoder } from './pcapng.ts';
import { BrokenRecord, type FrameSink, type RecordDecoder, RecordStream } from './records.ts';
import { type FrameCounts, type Segment, SegmentParser } from './segment.ts';

/** Bytes by which the two formats are told apart. */
const HEAD = 4;

/** The segments of one capture. Made for one reading. */
export class CaptureReader implements FrameSink {
  readonly path: string;
  readonly #chunks: AsyncIterable<Buffer>;
  readonly #interface: string | null;
  readonly #parser: SegmentParser;
  #decoder: RecordDecoder | null;
  #batch: Segment[];
  /** Interfaces that `#interface` means; null for all. */
  #chosen: Set<number> | null;
  #named: number;
  /** Interfaces with segments that were given. */
  readonly #used: Set<number>;
  /** Segments of interfaces that were not asked for. */
  notChosen: number;
  /** Why the file was not read to its end; empty when it was. */
  broken: string;

  /**
   * @param path   for messages
   * @param chunks bytes of the file, uncompressed
   * @param iface  name or number (from 0) of the interface whose packets are taken; null for all
   */
  constructor(path: string, chunks: AsyncIterable<Buffer>, iface: string | null = null) {
    this.path = path;
    this.#chunks = chunks;
    this.#interface = iface;
    this.#parser = new SegmentParser();
    this.#decoder = null;
    this.#batch = [];
    this.#chosen = iface === null ? null : new Set();
    this.#named = 0;
    this.#used = new Set();
    this.notChosen = 0;
    this.broken = '';
  }

  get counts(): Readonly<FrameCounts> {
    return this.#parser.counts;
  }

  /** Names of the interfaces so far. */
  get interfaces(): readonly string[] {
    return this.#decoder?.interfaces ?? [];
  }

  /** What was left out without being asked for, a line each. */
  get notes(): readonly string[] {
    const { counts, unknownLinks } = this.#parser;
    const notes: string[] = [];
    if (this.broken !== '') notes.push(this.broken);
    if (counts.timeless > 0) notes.push(`${counts.timeless} segments have no time (Simple Packet Blocks)`);
    if (counts.cut > 0) notes.push(`${counts.cut} segments are cut within their header (snap length)`);
    if (counts.fragments > 0) notes.push(`${counts.fragments} fragments behind the first of their datagram`);
    if (unknownLinks.size > 0) notes.push(`link types that are not read: ${[...unknownLinks].sort().join(', ')}`);
    if (this.#used.size > 1) {
      const names = [...this.#used].map((i) => this.interfaces[i]).join(', ');
      notes.push(
        `${this.#used.size} interfaces have segments (${names}); where one has what another has, --interface takes one`,
      );
    }
    const strays = this.#decoder instanceof PcapngDecoder ? this.#decoder.strays : 0;
    if (strays > 0) notes.push(`${strays} packets of interfaces that the file does not describe`);
    return notes;
  }

  /**
   * The segments in the order of the file, in batches.
   * @throws LogError when it is no capture, or has no such interface
   */
  async *batches(): AsyncGenerator<readonly Segment[]> {
    let head: Buffer = Buffer.alloc(0);
    let stream: RecordStream | null = null;
    try {
      for await (const chunk of this.#chunks) {
        if (stream === null) {
          head = Buffer.concat([head, chunk]);
          if (head.length < HEAD) continue;
          stream = new RecordStream((this.#decoder = this.#format(head)), this);
          stream.feed(head);
        } else {
          stream.feed(chunk);
        }
        yield* this.#flush();
      }
      if (stream === null) throw this.#noCapture();
      if (stream.cut > 0) this.broken = `ends in the middle of a packet, at byte ${stream.offset}`;
    } catch (err) {
      if (!(err instanceof BrokenRecord || err instanceof CompressionError)) throw err;
      if (this.interfaces.length === 0 && this.counts.frames === 0) {
        throw new LogError(`${this.path}: ${err.message} at byte ${stream?.offset ?? 0}: the capture is broken`);
      }
      this.broken = `${err.message} at byte ${stream?.offset ?? 0}: not read further`;
    }
    yield* this.#flush();
    this.#choose();
    if (this.#chosen?.size === 0) {
      const all = this.interfaces.map((name, i) => (name === String(i) ? name : `${i} ${name}`)).join(', ');
      throw new LogError(`${this.path}: no interface ${this.#interface}; it has ${all || 'none'}`);
    }
  }

  /** As `FrameSink` has it. */
  frame(
    buf: Buffer,
    at: number,
    caplen: number,
    len: number,
    link: number,
    iface: number,
    sec: number,
    nsec: number,
  ): void {
    this.#choose();
    const segment = this.#parser.parse(buf, at, caplen, len, link, iface, sec, nsec);
    if (segment === null) return;
    if (this.#chosen?.has(iface) === false) {
      this.notChosen++;
      return;
    }
    this.#used.add(iface);
    this.#batch.push(segment);
  }

  /** Looks among the interfaces that came since for the one that was asked for. */
  #choose(): void {
    if (this.#chosen === null) return;
    for (; this.#named < this.interfaces.length; this.#named++) {
      const name = this.interfaces[this.#named];
      if (name === this.#interface || String(this.#named) === this.#interface) this.#chosen.add(this.#named);
    }
  }

  #format(head: Buffer): RecordDecoder {
    if (isPcapng(head)) return new PcapngDecoder();
    if (isPcap(head)) return new PcapDecoder();
    throw this.#noCapture();
  }

  #noCapture(): LogError {
    return new LogError(`${this.path}: is no capture; pcapng and pcap files are read, also as .gz, .xz and .zst`);
  }

  *#flush(): Generator<readonly Segment[]> {
    if (this.#batch.length === 0) return;
    yield this.#batch;
    this.#batch = [];
  }
}
