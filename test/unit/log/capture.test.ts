import { describe, expect, test } from 'vitest';
import { LogError } from '../../../src/log/error.ts';
import fc from '../../lab/property.ts';
import {
  block,
  enhanced,
  ethernet,
  IPV4,
  IPV6,
  iface,
  MACS,
  type Order,
  obsolete,
  option,
  pcap,
  read,
  section,
  simple,
  TCP,
  u32,
} from './captures.ts';

const LE: Order = { le: true };
const BE: Order = { le: false };
const frame = ethernet('0800', IPV4);
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s+/g, ''), 'hex');

/** What TCP holds. */
const HEADER = {
  sport: 40000,
  dport: 80,
  seq: 1000,
  ack: 2000,
  flags: 0x18,
  win: 512,
  len: 4,
  optlen: 12,
  tsval: 7,
  tsecr: 9,
};

describe('a pcap file (draft-ietf-opsawg-pcap section 4)', () => {
  test.each([
    ['little endian, µs', LE, false, 123456, 123456000],
    ['big endian, µs', BE, false, 123456, 123456000],
    ['little endian, ns', LE, true, 123456789, 123456789],
    ['big endian, ns', BE, true, 123456789, 123456789],
  ])('is read: %s', async (_, order, nano, frac, nsec) => {
    const { segments, reader } = await read(pcap(order, nano, 1, [{ sec: 1700000000, frac, data: frame }]));
    expect(segments).toEqual([
      expect.objectContaining({
        ...HEADER,
        frame: 1,
        sec: 1700000000,
        nsec,
        saddr: '192.0.2.1',
        daddr: '198.51.100.2',
      }),
    ]);
    expect(reader.notes).toEqual([]);
  });

  test('counts the data that the snap length cut off, but no header of which a part is missing (section 5)', async () => {
    const cuts = [frame.length - 3, frame.length - 4 - 12, 14 + 20 + 19].map((n) => ({
      sec: 1,
      frac: 0,
      data: frame.subarray(0, n),
      len: frame.length,
    }));
    const { segments, reader } = await read(pcap(LE, false, 1, cuts));
    expect(segments.map((s) => [s.frame, s.len, s.tsval])).toEqual([
      [1, 4, 7],
      [2, 4, null],
    ]);
    expect(reader.notes).toEqual(['1 segments are cut within their header (snap length)']);
  });

  test('that ends in the middle of a packet is used up to there', async () => {
    const whole = pcap(
      LE,
      false,
      1,
      [1, 2].map((sec) => ({ sec, frac: 0, data: frame })),
    );
    for (let n = 24 + 16 + frame.length + 1; n < whole.length; n++) {
      const { segments, reader } = await read(whole.subarray(0, n));
      expect(segments.map((s) => s.sec)).toEqual([1]);
      expect(reader.notes).toEqual([`ends in the middle of a packet, at byte ${24 + 16 + frame.length}`]);
    }
  });
});

describe('a pcapng file (draft-ietf-opsawg-pcapng section 4)', () => {
  test('has sections of either byte order, each with interfaces of its own, and blocks to skip', async () => {
    const one = (order: Order, name: string): Buffer[] => [
      section(order),
      iface(1, 0, [option(2, Buffer.from(name), order), option(0, Buffer.alloc(0), order)], order),
      block(0x0bad, Buffer.alloc(20), order),
      enhanced(0, 1_000_000n * 1_000_000n + 5n, frame, order),
    ];
    const bytes = Buffer.concat([...one(LE, 'eth0'), ...one(BE, 'eth1')]);
    const { segments, reader } = await read(bytes);
    expect(segments.map((s) => [s.iface, s.sec, s.nsec])).toEqual([
      [0, 1_000_000, 5000],
      [1, 1_000_000, 5000],
    ]);
    expect(reader.interfaces).toEqual(['eth0', 'eth1']);
    expect(reader.notes.join()).toContain('2 interfaces have segments (eth0, eth1)');
    expect((await read(bytes, 'eth1')).segments.map((s) => s.frame)).toEqual([2]);
    expect((await read(bytes, '0')).segments.map((s) => s.frame)).toEqual([1]);
    await expect(read(bytes, 'eth7')).rejects.toThrow('x.pcap: no interface eth7; it has 0 eth0, 1 eth1');
  });

  test.each([
    ['10^-9', 9, 1_700_000_000_123_456_789n, 0, 1_700_000_000, 123_456_789],
    ['10^-3', 3, 1_700_000_000_123n, 0, 1_700_000_000, 123_000_000],
    ['10^-12', 12, 1_700_000_000_123_456_789n, 0, 1_700_000, 123_456],
    ['2^-10', 0x8a, (1_700_000_000n << 10n) + 512n, 0, 1_700_000_000, 500_000_000],
    ['with an offset of an hour', 6, 5_000_000n, 3600, 3605, 0],
  ])('has times in units of %s (if_tsresol, if_tsoffset)', async (_, resolution, time, offset, sec, nsec) => {
    const shift = Buffer.alloc(8);
    shift.writeBigInt64LE(BigInt(offset));
    const options = [option(9, Buffer.from([resolution]), LE), option(14, shift, LE), option(0, Buffer.alloc(0), LE)];
    const bytes = Buffer.concat([section(LE), iface(1, 0, options, LE), enhanced(0, time, frame, LE)]);
    const { segments } = await read(bytes);
    expect(segments.map((s) => [s.sec, s.nsec])).toEqual([[sec, nsec]]);
  });

  test('has obsolete packet blocks, and simple ones that have no time', async () => {
    const bytes = Buffer.concat([
      section(BE),
      iface(1, 40, [], BE),
      iface(101, 0, [], BE),
      obsolete(1, 7_000_000n, IPV4, BE),
      simple(frame, BE),
      enhanced(5, 0n, frame, BE),
    ]);
    const { segments, reader } = await read(bytes);
    expect(segments.map((s) => [s.frame, s.iface, s.sec])).toEqual([[1, 1, 7]]);
    // The snap length of 40 bytes leaves 6 of the TCP header.
    expect(reader.counts).toMatchObject({ frames: 2, cut: 1 });
    expect(reader.notes).toContain('1 packets of interfaces that the file does not describe');
    const whole = Buffer.concat([section(LE), iface(1, 0, [], LE), simple(frame, LE)]);
    expect((await read(whole)).reader.notes).toEqual(['1 segments have no time (Simple Packet Blocks)']);
  });

  test('is read up to a block that is broken, which is said', async () => {
    const good = Buffer.concat([section(LE), iface(1, 0, [], LE), enhanced(0, 1n, frame, LE)]);
    const other = enhanced(0, 2n, frame, LE);
    const lengths = Buffer.from(other);
    lengths.writeUInt32LE(other.length + 4, other.length - 4);
    const longer = Buffer.from(other);
    longer.writeUInt32LE(5000, 20);
    for (const [bad, why] of [
      [lengths, 'a block whose two lengths differ'],
      [longer, 'a packet that is longer than its block'],
      [Buffer.concat([u32(6, LE), u32(9, LE), Buffer.alloc(8)]), 'a block of 9 bytes'],
    ] as const) {
      const { segments, reader } = await read(Buffer.concat([good, bad, other]));
      expect(segments).toHaveLength(1);
      expect(reader.notes).toEqual([`${why} at byte ${good.length}: not read further`]);
    }
  });
});

describe('a frame', () => {
  test.each([
    ['Ethernet', 1, frame],
    ['Ethernet with an 802.1Q and an 802.1ad tag', 1, Buffer.concat([MACS, hex('88a8 0001 8100 0002 0800'), IPV4])],
    ['Ethernet with padding', 1, Buffer.concat([frame, Buffer.alloc(6)])],
    ['raw IP', 101, IPV4],
    ['IPv4', 228, IPV4],
    ['Linux cooked', 113, Buffer.concat([hex('0004 0001 0006 020000000001 0000 0800'), IPV4])],
    ['Linux cooked 2', 276, Buffer.concat([hex('0800 0000 00000001 0001 04 06 0200000000010000'), IPV4])],
    ['BSD loopback, in either order', 0, Buffer.concat([hex('02000000'), IPV4])],
    ['OpenBSD loopback', 108, Buffer.concat([hex('00000002'), IPV4])],
  ])('of link type %s has its segment', async (_, link, data) => {
    const { segments } = await read(pcap(LE, false, link, [{ sec: 1, frac: 0, data }]));
    expect(segments).toEqual([expect.objectContaining({ ...HEADER, saddr: '192.0.2.1', daddr: '198.51.100.2' })]);
  });

  test.each([
    ['Ethernet', 1, ethernet('86dd', IPV6)],
    ['raw IP', 101, IPV6],
    ['IPv6', 229, IPV6],
  ])('of link type %s with IPv6 and extension headers has its segment (RFC 8200 section 4)', async (_, link, data) => {
    const { segments } = await read(pcap(LE, false, link, [{ sec: 1, frac: 0, data }]));
    expect(segments).toEqual([expect.objectContaining({ ...HEADER, saddr: '2001:db8::1', daddr: '2001:db8::2' })]);
  });

  test('has options: MSS, window scale, SACK blocks (RFC 9293 section 3.2, RFC 7323 section 2.2, RFC 2018 section 3)', async () => {
    const syn = hex('9c40 0050 00000001 00000000 7002 ffff 0000 0000 0204 05b4 0303 07 00');
    const sack = hex('9c40 0050 00000001 00000005 a010 ffff 0000 0000 0101 0512 0000000a 00000014 0000001e 00000028');
    const packets = [syn, sack].map((tcp) => {
      const ip = hex('4500 0000 0000 4000 4006 0000 c0000201 c6336402');
      ip.writeUInt16BE(20 + tcp.length, 2);
      return { sec: 1, frac: 0, data: Buffer.concat([ip, tcp]) };
    });
    const { segments } = await read(pcap(LE, false, 101, packets));
    expect(segments).toEqual([
      expect.objectContaining({ flags: 2, ack: 0, len: 0, mss: 1460, wscale: 7, sack: null, tsval: null }),
      expect.objectContaining({ flags: 16, ack: 5, len: 0, mss: null, sack: [10, 20, 30, 40] }),
    ]);
  });

  test('of something else is counted: UDP, fragments, ARP, a link type that is not read', async () => {
    const udp = Buffer.from(IPV4);
    udp[9] = 17;
    const fragment = Buffer.from(IPV4);
    fragment.writeUInt16BE(0x2001, 6);
    const packets = [ethernet('0800', udp), ethernet('0800', fragment), ethernet('0806', TCP)];
    const one = await read(
      pcap(
        LE,
        false,
        1,
        packets.map((data) => ({ sec: 1, frac: 0, data })),
      ),
    );
    expect(one.reader.counts).toMatchObject({ frames: 3, segments: 0, other: 2, fragments: 1 });
    const two = await read(pcap(LE, false, 105, [{ sec: 1, frac: 0, data: frame }]));
    expect(two.reader.notes).toEqual(['link types that are not read: 105']);
  });

  test('longer than the length field can say has the length that it had on the wire (RFC 2675; Linux BIG TCP)', async () => {
    const big = Buffer.from(IPV4);
    big.writeUInt16BE(0, 2);
    const { segments } = await read(pcap(LE, false, 1, [{ sec: 1, frac: 0, data: ethernet('0800', big), len: 90000 }]));
    expect(segments[0]?.len).toBe(90000 - 14 - 20 - 32);
  });
});

describe('anything', () => {
  test('that is no capture is refused in one line', async () => {
    for (const bytes of ['', 'ab', 'enable_time_secs=1\n', '\n\r\r\n\0\0\0\0\0\0\0\0\0\0\0\0']) {
      await expect(read(Buffer.from(bytes, 'latin1'))).rejects.toThrow(LogError);
    }
  });

  test('random, or a capture with random bytes in it, throws nothing but that line', async () => {
    const good = Buffer.concat([
      section(LE),
      iface(1, 0, [option(9, Buffer.from([9]), LE)], LE),
      enhanced(0, 1n, frame, LE),
      enhanced(0, 2n, ethernet('86dd', IPV6), LE),
      section(BE),
      iface(101, 0, [], BE),
      obsolete(0, 3n, IPV4, BE),
    ]);
    const classic = pcap(
      BE,
      true,
      1,
      [1, 2, 3].map((sec) => ({ sec, frac: 0, data: frame })),
    );
    const survives = async (bytes: Buffer, size: number): Promise<void> => {
      await read(bytes, null, size).catch((err: unknown) => {
        if (!(err instanceof LogError) || err.message.includes('\n')) throw err;
      });
    };
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(good, classic),
        changes,
        fc.nat(),
        fc.integer({ min: 1, max: 400 }),
        async (base, list, cut, size) => {
          const bytes = Buffer.from(base.subarray(0, list.length % 2 === 0 ? base.length : cut % base.length));
          for (const [at, value] of list) if (bytes.length > 0) bytes[at % bytes.length] = value;
          await survives(bytes, size);
        },
      ),
      { numRuns: 2000 },
    );
    const magics = [Buffer.alloc(0), hex('0a0d0d0a'), hex('a1b2c3d4'), section(LE)];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 300 }), async (magic, bytes) => {
        await survives(Buffer.concat([magic, bytes]), 64);
      }),
      { numRuns: 1000 },
    );
  });
});
